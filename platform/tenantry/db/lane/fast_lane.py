"""The connections of the fast lane: which one takes a group, what is tried again, and what is refused at once."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from time import monotonic
from typing import Any

import structlog
from psycopg import AsyncConnection, Error, OperationalError
from psycopg.pq.abc import PGresult

from tenantry.db.lane.pipeline import ConnectionLost, PipelineConnection
from tenantry.db.lane.query import Step, Terms
from tenantry.errors import Unavailable

__all__ = ("FastLane", "LaneClosed")

_log = structlog.get_logger("tenantry.database")
Connect = Callable[[], Awaitable[tuple[AsyncConnection[Any], Terms]]]

DRAIN_SECONDS = 2.0
STUCK_SECONDS = 10.0
DEMOTED_SECONDS = 60.0
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.05, 5.0
ATTEMPTS = 4
CONNECTIONS_OF_READS = 2
STALE_PLAN = ("0A000", "26000", "42P05")
CONCURRENCY = ("40001", "40P01")
"""The whole group was undone, and nothing of it depends on an answer within: it can be sent again."""


class DatabaseBusy(Unavailable):
    code = "database_busy"
    title = "Too many requests wait for the database"


class OutcomeUnknown(Unavailable):
    code = "database_unavailable"
    title = "The connection to the database was lost; the change may or may not have been kept"


class LaneClosed(Exception):
    """No connection is open at this moment, or none is meant to be."""


class FastLane:
    def __init__(self, connect: Connect, *, connections: int, queue: int) -> None:
        """`queue` is the largest number of groups that wait on one connection."""
        self._connect = connect
        self._size = connections
        self._queue = queue
        self._open: list[PipelineConnection] = []
        self._of_reads: list[PipelineConnection] = []
        self._of_writes: list[PipelineConnection] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._slow: dict[object, float] = {}

    async def start(self) -> None:
        """Connect, and stay connected. What cannot be reached now is tried again in the background."""
        firsts = [asyncio.Event() for _ in range(self._size)]
        # Reads on few connections travel together; commits on many reach the disk together.
        roles = [self._of_reads if number < CONNECTIONS_OF_READS else self._of_writes for number in range(self._size)]
        self._tasks = [asyncio.create_task(self._keep_open(*slot)) for slot in zip(firsts, roles, strict=True)]
        self._tasks.append(asyncio.create_task(self._watch()))
        for tried in firsts:
            await tried.wait()

    async def stop(self) -> None:
        """What is under way may end."""
        if pending := [answer for connection in self._open for answer in connection.pending()]:
            await asyncio.wait(pending, timeout=DRAIN_SECONDS)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for connection in [*self._open]:
            connection.end(OperationalError("the service stops"))

    def takes(self, statement: object) -> bool:
        """Whether there is a connection, and the statement has not shown itself to be slow in the last minute."""
        if not self._open:
            return False
        until = self._slow.get(statement)
        if until is not None and until < monotonic():
            del self._slow[statement]
            return True
        return until is None

    def demote(self, statement: object) -> None:
        self._slow[statement] = monotonic() + DEMOTED_SECONDS

    async def run(self, steps: Sequence[Step], *, writes: bool) -> list[PGresult]:
        """The results of the steps, which happen together or not at all.

        Raises:
            LaneClosed: nothing has happened, and the ordinary session may do it.
            DatabaseBusy: nothing has happened.
            OutcomeUnknown: a write was under way when its connection was lost.
            psycopg.Error: what the database says of them; nothing has happened.
        """
        for attempt in range(1, ATTEMPTS + 1):
            connection = self._choose(self._of_writes if writes else self._of_reads)
            preamble = connection.terms.preamble
            group = connection.submit([*preamble, *steps] if preamble else steps)
            try:
                return (await group.answered)[len(preamble) :]
            except ConnectionLost as lost:
                if lost.was_sent and writes:
                    raise OutcomeUnknown from lost
                if attempt > 1:
                    raise LaneClosed from lost
            except Error as error:
                if error.sqlstate in STALE_PLAN:
                    connection.forget_prepared(group)
                    if attempt == ATTEMPTS:  # each time on another connection
                        raise LaneClosed from error
                elif attempt == ATTEMPTS or error.sqlstate not in CONCURRENCY:
                    raise
                else:
                    await asyncio.sleep(random.uniform(0, 0.005 * 2**attempt))  # noqa: S311  # jitter is no secret
        raise AssertionError("the last attempt returns or raises")

    def _choose(self, wanted: list[PipelineConnection]) -> PipelineConnection:
        chosen: PipelineConnection | None = None
        least = self._queue
        for connection in wanted or self._open:
            load = connection.load
            if load < least:
                chosen, least = connection, load
        if chosen is None:
            raise DatabaseBusy if self._open else LaneClosed
        return chosen

    async def _keep_open(self, tried: asyncio.Event, role: list[PipelineConnection]) -> None:
        """One connection, opened again whenever it is lost, after pauses that grow and differ between processes."""
        pause = 0.0
        while True:
            try:
                async with asyncio.timeout(STUCK_SECONDS):
                    connected, terms = await self._connect()
                connection = PipelineConnection(connected, terms, lost=self._let_go)
            except Exception as error:  # whatever keeps it from opening, it is tried again
                pause = min(LONGEST_PAUSE_SECONDS, max(FIRST_PAUSE_SECONDS, pause * 2))
                _log.warning("lane.not_connected", reason=str(error) or repr(error), next_try_seconds=round(pause, 2))
            else:
                pause = 0.0
                self._open.append(connection)
                role.append(connection)
                tried.set()
                await connection.ended.wait()
                _log.warning("lane.connection_lost", reason=str(connection.cause))
            tried.set()
            await asyncio.sleep(random.uniform(0, max(FIRST_PAUSE_SECONDS, pause)))  # noqa: S311  # jitter is no secret

    def _let_go(self, connection: PipelineConnection) -> None:
        for connections in (self._open, self._of_reads, self._of_writes):
            if connection in connections:
                connections.remove(connection)

    async def _watch(self) -> None:
        """End connections on which nothing has come back for longer than any statement may take."""
        while True:
            await asyncio.sleep(1)
            for connection in [*self._open]:
                if connection.is_stuck(STUCK_SECONDS):
                    connection.end(OperationalError("no answer from the database"))
