"""Two ways from the gate to a handler. On both, the unit of work ends before the answer begins.

It commits before the response starts: a commit that fails is an error answer, never a success. No answer leaves before
the database has said that the caller may have it.
"""

from collections.abc import Callable

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from litestar.utils.scope.state import ScopeState

from tenantry.context import bind_effect
from tenantry.db.session import UnitOfWork
from tenantry.http.answer import Answer
from tenantry.http.deadlines import Deadline
from tenantry.http.directory import Directory
from tenantry.http.endpoint import Endpoint
from tenantry.http.etag import conditional
from tenantry.http.plan import RoutePlan, plan_of
from tenantry.http.problems import problem_response, send_problem
from tenantry.http.reply import Reply
from tenantry.http.visit import Gate, RequestTimeout, Visit, pause

__all__ = ("LongWay", "ShortWay")


class ShortWay:
    """Around the whole application: endpoints are called here, and their answers are values until they leave."""

    def __init__(self, app: ASGIApp, directory: Directory, gate: Gate) -> None:
        self.app, self._directory, self._gate = app, directory, gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = self._directory.find(scope) if scope["type"] == ScopeType.HTTP else None
        if found is None:
            await self.app(scope, receive, send)
            return
        endpoint, scope["path_params"] = found
        scope["route_handler"], scope["path_template"] = endpoint.handler, endpoint.template
        answer = await self.answer(endpoint, scope, receive, send)
        if not (type(answer) is Answer and isinstance(send, Reply) and send.take(answer)):
            await answer(scope, receive, send)

    def endpoint_of(self, scope: Scope) -> Endpoint | None:
        """Of a request for which Litestar has found the handler."""
        return self._directory.endpoint(scope["path_template"], str(scope.get("method")))

    async def answer(self, endpoint: Endpoint, scope: Scope, receive: Receive, send: Send) -> ASGIApp:
        deadline = self._gate.deadlines.start()
        try:
            with deadline:
                visit = await self._gate.admit(endpoint.plan, scope, receive)
                for attempt in range(1, visit.attempts + 1):
                    unit_of_work = visit.unit_of_work(attempt)
                    try:
                        answer = await self._attempt(visit, unit_of_work, endpoint, scope, receive, send)
                    finally:
                        if not unit_of_work.has_ended:
                            await unit_of_work.close()
                    if attempt == visit.attempts or not visit.repeats(unit_of_work):
                        break
                    await pause(attempt)
        except Exception as error:
            return problem_response(RequestTimeout() if deadline.expired else error, scope, receive, send)
        return answer

    async def _attempt(
        self, visit: Visit, unit_of_work: UnitOfWork, endpoint: Endpoint, scope: Scope, receive: Receive, send: Send
    ) -> ASGIApp:
        try:
            await visit.begin(unit_of_work)
            keyed = visit.keyed
            try:
                if keyed is not None and (first := await keyed.first(unit_of_work)) is not None:
                    return first
                answer = await endpoint.answer(scope, receive, send)
                version = unit_of_work.versions.of(answer.content)
                if version is not None or endpoint.is_resource:
                    answer = conditional(answer, version or 0, scope, is_read=endpoint.is_read)
                if keyed is not None and (first := await keyed.keep(unit_of_work, answer)) is not None:
                    return first
            except Exception as error:
                await unit_of_work.authorize()  # or raises a refusal, which comes before any other error
                return problem_response(error, scope, receive, send)
            await unit_of_work.commit()
        except Exception as error:
            return problem_response(error, scope, receive, send)
        bind_effect(visit.plan.effect)
        return answer


class LongWay:
    """The innermost middleware of every route, for those that answer in a way of their own, such as with a stream.

    A path may be spelled in ways that Litestar alone knows; what it then finds to be an endpoint is answered as one.
    """

    def __init__(self, app: ASGIApp, gate: Gate, short: Callable[[], ShortWay | None]) -> None:
        self.app, self._gate, self._short = app, gate, short
        self._plans: dict[int, RoutePlan] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await self.app(scope, receive, send)
            return
        short = self._short()
        if short is not None and (endpoint := short.endpoint_of(scope)) is not None:
            answer = await short.answer(endpoint, scope, receive, send)
            await answer(scope, receive, send)
            return
        handler = scope["route_handler"]
        plan = self._plans.get(id(handler)) or self._plans.setdefault(id(handler), plan_of(handler))
        deadline = self._gate.deadlines.start()
        try:
            with deadline:
                visit = await self._gate.admit(plan, scope, receive)
                await self._answer(visit, deadline, scope, receive, send)
        except TimeoutError:
            if not deadline.expired:
                raise
            # Litestar may count the response as started: the commit is a part of sending it.
            await send_problem(RequestTimeout(), scope, receive, send)

    async def _answer(self, visit: Visit, deadline: Deadline, scope: Scope, receive: Receive, send: Send) -> None:
        for attempt in range(1, visit.attempts + 1):
            unit_of_work = visit.unit_of_work(attempt)
            ending = Ending(
                unit_of_work, visit.plan.effect, deadline, scope, receive, send, may_repeat=attempt < visit.attempts
            )
            try:
                await visit.begin(unit_of_work)
                await self.app(scope, receive, ending.send)
            finally:
                await unit_of_work.close()
            if not ending.repeats:
                return
            await pause(attempt)
            # Else Litestar takes the answer that was dropped for one that has begun.
            ScopeState.from_scope(scope).response_started = False


class Ending:
    """`send` that ends the unit of work as the status of the response says, before any byte of it leaves."""

    def __init__(
        self, unit_of_work: UnitOfWork, effect: str | None, deadline: Deadline,
        scope: Scope, receive: Receive, send: Send, *, may_repeat: bool,
    ) -> None:  # fmt: skip
        self._unit_of_work = unit_of_work
        self._effect = effect
        self._deadline = deadline
        self._connection = (scope, receive, send)
        self._send = send
        self._may_repeat = may_repeat
        self._drops = False
        self.repeats = False
        """Nothing has been sent: somebody else was faster, and all of it is to be done again."""

    async def send(self, message: Message) -> None:
        if self._drops:
            return
        if message["type"] == "http.response.start":
            try:
                await self._end(message["status"])
            except Exception as error:
                # Litestar already counts the response as started and would drop an exception from here.
                if not self._conflicts():
                    self._drops = True
                    await send_problem(error, *self._connection)
                return
            if self._conflicts():
                return
            # A stream takes as long as it takes.
            self._deadline.stop()
        await self._send(message)

    async def _end(self, status: int) -> None:
        if status < 400:
            await self._unit_of_work.commit()
            bind_effect(self._effect)
        else:
            await self._unit_of_work.authorize()
            await self._unit_of_work.close()

    def _conflicts(self) -> bool:
        self.repeats = self._drops = self._may_repeat and self._unit_of_work.asks_for_repeat
        return self.repeats
