"""The gate before every route: enforces its policy, and opens and ends its unit of work."""

import asyncio
import random

from litestar import Litestar, Request
from litestar.config.app import AppConfig
from litestar.datastructures import State
from litestar.di import Provide
from litestar.enums import ScopeType
from litestar.plugins import InitPlugin
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from litestar.utils.scope.state import ScopeState
from sqlalchemy import text

from tenantry.config import Settings
from tenantry.context import bind_actor, bind_effect
from tenantry.db.database import Database
from tenantry.db.session import UnitOfWork
from tenantry.errors import AppError, Unauthenticated, Unavailable
from tenantry.http.plan import RoutePlan, plan_of
from tenantry.http.policy import Allow, policy_of
from tenantry.http.problems import send_problem
from tenantry.http.request import ApiRequest
from tenantry.readiness import NotReady, Readiness
from tenantry.security.principal import CredentialVerifier, Principal

__all__ = ("GatePlugin",)

ATTEMPTS = 5
FIRST_PAUSE_SECONDS = 0.01


class RequestTimeout(Unavailable):
    code = "request_timeout"
    title = "This took too long; what it was to change may or may not have been kept"


class GatePlugin(InitPlugin):
    """Puts the gate before every route, and watches that the database knows the permissions they ask for."""

    def __init__(self, settings: Settings, verifier: CredentialVerifier, readiness: Readiness) -> None:
        self.settings = settings
        self.verifier = verifier
        readiness.add("permissions", self._check_permissions)

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        app_config.middleware.append(self._gate)
        app_config.dependencies["principal"] = Provide(principal_of, sync_to_thread=False)
        app_config.on_startup.append(self._start)
        return app_config

    def _gate(self, app: ASGIApp) -> "Gate":
        return Gate(app, self.verifier, self.settings.request_timeout_seconds)

    def _start(self, app: Litestar) -> None:
        self.app = app
        policies = [policy_of(handler) for route in app.routes for handler in getattr(route, "route_handlers", ())]
        self.permissions = {policy.permission.name for policy in policies if isinstance(policy, Allow)}

    async def _check_permissions(self) -> str:
        """A permission that no role has in the database would be a 403 for everybody."""
        database: Database = self.app.state.database
        async with database.transaction() as unit_of_work:
            rows = await unit_of_work.rows(text("SELECT DISTINCT permission FROM role_permissions"))
        if missing := self.permissions - {row.permission for row in rows}:
            raise NotReady(f"unknown to the database: {', '.join(sorted(missing))}: run `tenantry database upgrade`")
        return f"{len(self.permissions)} known"


def principal_of(request: Request[Principal, object, State]) -> Principal:
    """Who makes the request; only for routes that are not public."""
    return request.user


class Gate:
    """The innermost middleware of every route.

    It authenticates without I/O and opens the unit of work, whose every transaction begins with the question whether
    all of it holds now. It commits before the response starts: a commit that fails is an error answer, never a
    success. No answer leaves before the database has said that the caller may have it.
    """

    def __init__(self, app: ASGIApp, verifier: CredentialVerifier, seconds: float) -> None:
        self.app = app
        self.verifier = verifier
        self.seconds = seconds
        self.plans: dict[int, RoutePlan] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await self.app(scope, receive, send)
            return
        handler = scope["route_handler"]
        plan = self.plans.get(id(handler)) or self.plans.setdefault(id(handler), plan_of(handler))
        try:
            async with asyncio.timeout(self.seconds) as deadline:
                await self._answer(plan, deadline, scope, receive, send)
        except TimeoutError:
            if not deadline.expired():
                raise
            # Litestar may count the response as started: the commit is a part of sending it.
            await send_problem(RequestTimeout(), scope, receive, send)

    async def _answer(
        self, plan: RoutePlan, deadline: asyncio.Timeout, scope: Scope, receive: Receive, send: Send
    ) -> None:
        principal, fault = None, None
        if not plan.is_public:
            principal = scope["user"] = self._authenticate(scope)
            bind_actor(actor=principal.user_id, tenant=principal.tenant_id)
            if plan.takes_body:
                # Before any transaction begins: a client that sends slowly must not hold a connection.
                try:
                    await ApiRequest(scope, receive, send).body()
                except AppError as error:
                    fault = error
        attempts = ATTEMPTS if principal is not None and plan.is_repeatable else 1
        for attempt in range(1, attempts + 1):
            database: Database = scope["litestar_app"].state.database
            # After a conflict the ordinary session waits for its turn.
            unit_of_work = database.unit_of_work(fast=attempt == 1, repeatable=plan.is_repeatable)
            scope["state"]["unit_of_work"] = unit_of_work
            if principal is not None:
                unit_of_work.begin_request(principal, plan.permission)
            ending = Ending(unit_of_work, plan.effect, deadline, scope, receive, send, may_repeat=attempt < attempts)
            try:
                if principal is not None and (fault is not None or plan.asks_first(principal)):
                    await unit_of_work.authorize()
                if fault is not None:
                    raise fault
                await self.app(scope, receive, ending.send)
            finally:
                await unit_of_work.close()
            if not ending.repeats:
                return
            # Who met in a deadlock must not meet again.
            await asyncio.sleep(random.uniform(0, FIRST_PAUSE_SECONDS * 2**attempt))  # noqa: S311  # jitter is no secret
            # Else Litestar takes the answer that was dropped for one that has begun.
            ScopeState.from_scope(scope).response_started = False

    def _authenticate(self, scope: Scope) -> Principal:
        header = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        kind, _, credential = header.decode("latin-1").partition(" ")
        if kind.lower() != "bearer" or not credential.strip():
            raise Unauthenticated
        return self.verifier.verify(credential.strip())


class Ending:
    """`send` that ends the unit of work as the status of the response says, before any byte of it leaves."""

    def __init__(
        self, unit_of_work: UnitOfWork, effect: str | None, deadline: asyncio.Timeout,
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
            self._deadline.reschedule(None)
        await self._send(message)

    async def _end(self, status: int) -> None:
        if status < 400:
            await self._unit_of_work.commit()
            bind_effect(self._effect)
        else:
            await self._unit_of_work.authorize()
            await self._unit_of_work.close()

    def _conflicts(self) -> bool:
        self.repeats = self._drops = self._may_repeat and self._unit_of_work.verdict.has_conflicted
        return self.repeats
