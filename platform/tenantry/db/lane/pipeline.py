"""One connection in libpq's pipeline mode, shared by requests.

A group's statements and its Sync are one implicit transaction: all of it happens, or nothing. Answers come back in the
order of the groups, so a group keeps its place in the queue also when nobody waits for it any more.
"""

import asyncio
import select
from collections import Counter, deque
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any

from psycopg import AsyncConnection, OperationalError, pq
from psycopg.errors import error_from_result
from psycopg.pq.abc import PGresult

from tenantry.db.lane.query import Query, Step, Terms

__all__ = ("ConnectionLost", "Group", "PipelineConnection")

LARGEST_NUMBER_OF_PREPARED_STATEMENTS = 500
BINARY = pq.Format.BINARY
OK = pq.ConnStatus.OK
# Plain numbers: results carry them, and comparing them with members of an enumeration costs a call each.
FATAL_ERROR, SYNC = int(pq.ExecStatus.FATAL_ERROR), int(pq.ExecStatus.PIPELINE_SYNC)
ANSWERS = (int(pq.ExecStatus.TUPLES_OK), int(pq.ExecStatus.COMMAND_OK))


class ConnectionLost(Exception):
    """`was_sent`: whether the group may have happened."""

    def __init__(self, cause: Exception, *, was_sent: bool) -> None:
        super().__init__(str(cause))
        self.was_sent = was_sent


class Group:
    __slots__ = ("answered", "closed", "failure", "names", "parsed", "results", "sent_at", "steps")

    def __init__(self, steps: Sequence[Step], answered: "asyncio.Future[list[PGresult]]") -> None:
        self.steps = steps
        self.answered = answered
        self.results: list[PGresult] = []
        self.failure: Exception | None = None
        self.closed = 0
        """Answers that come before all others: statements that the server forgets."""
        self.parsed: list[tuple[bytes, bytes]] = []
        """Statements whose answers come next, for the server prepares them: their names here and there."""
        self.names: list[bytes] = []
        """Of the statements of the steps, there."""
        self.sent_at = 0.0

    def finish(self) -> None:
        if self.answered.done():
            return
        if self.failure is not None:
            self.answered.set_exception(self.failure)
        else:
            self.answered.set_result(self.results[self.closed + len(self.parsed) :])

    def lose(self, cause: Exception, *, was_sent: bool) -> None:
        if not self.answered.done():
            self.answered.set_exception(ConnectionLost(cause, was_sent=was_sent))


class PipelineConnection:
    """Takes over a psycopg connection on which nothing runs. `lost` is called once, when it has ended."""

    def __init__(
        self, connection: AsyncConnection[Any], terms: Terms, *, lost: Callable[["PipelineConnection"], None]
    ) -> None:
        self._connection = connection
        self._pgconn = connection.pgconn
        self.terms = terms
        self._lost = lost
        self.load = 0
        """Groups that have no answer yet."""
        self._unsent: list[Group] = []
        self._waiting: deque[Group] = deque()
        self._names: dict[bytes, bytes] = {}
        self._to_forget: list[bytes] = []
        self._stale: Counter[bytes] = Counter()
        """How often a query had to be prepared anew."""
        self._parsed = 0
        self._watches_for_room = False
        self._heard_at = 0.0
        self.ended = asyncio.Event()
        self.cause: Exception | None = None
        """Why it has ended."""
        self._loop = asyncio.get_running_loop()
        self._socket = self._pgconn.socket
        self._breaks = select.poll()
        self._breaks.register(self._socket, 0)
        self._pgconn.nonblocking = 1
        self._pgconn.enter_pipeline_mode()
        self._loop.add_reader(self._socket, self._receive)

    def pending(self) -> "list[asyncio.Future[list[PGresult]]]":
        return [group.answered for group in (*self._waiting, *self._unsent)]

    def submit(self, steps: Sequence[Step]) -> Group:
        """Send with everything else that this turn of the event loop submits."""
        group = Group(steps, self._loop.create_future())
        if not self._unsent:
            self._loop.call_soon(self._send_unsent)
        self._unsent.append(group)
        self.load += 1
        return group

    def forget_prepared(self, group: Group) -> None:
        """Prepare anew what `group` found to be stale, unless another group has already said so."""
        for (query, _), name in zip(group.steps, group.names, strict=True):
            if self._names.get(query.name) == name:
                self._to_forget.append(self._names.pop(query.name))
                self._stale[query.name] += 1

    def is_stuck(self, seconds: float) -> bool:
        """The first that waits has waited as long as that, and so long nothing has come for those before it either."""
        return bool(self._waiting) and monotonic() - max(self._waiting[0].sent_at, self._heard_at) > seconds

    def end(self, cause: Exception) -> None:
        """Close at once; whoever waits is told."""
        if self.cause is not None:
            return
        self.ended.set()
        self.cause = cause
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        self._pgconn.finish()
        for group in self._waiting:
            group.lose(group.failure or cause, was_sent=True)
        for group in self._unsent:
            group.lose(cause, was_sent=False)
        self._waiting.clear()
        self._unsent.clear()
        self._lost(self)

    def _send_unsent(self) -> None:
        unsent, self._unsent = self._unsent, []
        if self.cause is not None:
            return
        one_at_a_time = self.terms.one_at_a_time
        now = monotonic()
        try:
            for number, group in enumerate(unsent):
                if one_at_a_time and self._waiting:
                    self._unsent = unsent[number:]
                    break
                if group.answered.done():  # cancelled before it left
                    self.load -= 1
                    continue
                group.sent_at = now
                self._waiting.append(group)
                self._send(group)
            self._flush()
        except Exception as error:  # half a group may have left, so the connection cannot go on
            self._unsent = [group for group in unsent if not group.sent_at]
            self.end(error)

    def _send(self, group: Group) -> None:
        pgconn = self._pgconn
        if self.terms.prepares:
            # Before everything else, and first what cannot fail: a failure takes all that follows with it.
            while self._to_forget:
                pgconn.send_close_prepared(self._to_forget.pop())
                group.closed += 1
            known = self._names
            group.names = [known.get(query.name) or self._prepare(query, group) for query, _ in group.steps]
            for name, (_, values) in zip(group.names, group.steps, strict=True):
                pgconn.send_query_prepared(name, values, None, BINARY)
        else:
            for query, values in group.steps:
                pgconn.send_query_params(query.text, values, query.types or None, None, BINARY)
        pgconn.pipeline_sync()

    def _prepare(self, query: Query, group: Group) -> bytes:
        self._parsed += 1
        name = b"%b_%d" % (query.name, self._parsed)
        # A pooler would take the same text for the same stale statement.
        text = b"%b --%d" % (query.text, times) if (times := self._stale[query.name]) else query.text
        self._pgconn.send_prepare(name, text, query.types or None)
        group.parsed.append((query.name, name))
        if len(self._names) >= LARGEST_NUMBER_OF_PREPARED_STATEMENTS:
            # The oldest; where it is in use it comes again.
            self._to_forget.append(self._names.pop(next(iter(self._names))))
        self._names[query.name] = name
        return name

    def _forget_unprepared(self, group: Group) -> None:
        """The first that failed, and those that were to be prepared after it, are not there."""
        for query_name, name in group.parsed[max(0, len(group.results) - group.closed) :]:
            if self._names.get(query_name) == name:
                del self._names[query_name]

    def _flush(self) -> None:
        blocked = self._pgconn.flush() != 0
        if blocked and not self._watches_for_room:
            self._loop.add_writer(self._socket, self._make_room)
        elif self._watches_for_room and not blocked:
            self._loop.remove_writer(self._socket)
        self._watches_for_room = blocked

    def _make_room(self) -> None:
        try:
            self._flush()
        except OperationalError as error:
            self.end(error)

    def _receive(self) -> None:
        if self.cause is not None:
            return
        self._heard_at = monotonic()
        try:
            self._pgconn.consume_input()
            while self._waiting and self._take_answers(self._waiting[0]):
                self.load -= 1
                self._waiting.popleft().finish()
            if self.terms.one_at_a_time and self._unsent and not self._waiting:
                self._send_unsent()
            # uvloop tells once of a connection that was reset, also where an answer is to be read before the reset is.
            if self._waiting and self._breaks.poll(0):
                self._loop.call_soon(self._receive)
        except OperationalError as error:
            self.end(error)

    def _take_answers(self, group: Group) -> bool:
        """True once all of them are there."""
        pgconn = self._pgconn
        silent = 0
        while not pgconn.is_busy():
            result = pgconn.get_result()
            if result is None:  # between two statements
                silent += 1
                if silent > 2 or pgconn.status != OK:
                    raise OperationalError(pgconn.get_error_message())
                continue
            silent = 0
            status = result.status
            if status == SYNC:
                if group.failure is not None:
                    self._forget_unprepared(group)
                return True
            if status in ANSWERS:
                group.results.append(result)
            elif status == FATAL_ERROR:
                group.failure = group.failure or error_from_result(result)
        return False
