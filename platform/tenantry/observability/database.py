"""One trip to the database, as log, metrics and traces see it."""

from asyncio import CancelledError
from time import perf_counter
from types import TracebackType
from typing import Self

from psycopg import OperationalError

from tenantry.context import Lane, count_statement
from tenantry.errors import Unavailable
from tenantry.observability.metrics import Outcome, metrics
from tenantry.observability.tracing import NO_SPAN, database_span

__all__ = ("DatabaseTrip",)


class DatabaseTrip:
    """`with DatabaseTrip("fast", sql):` around what waits for the answer.

    `outcome` follows from what the block raises, unless the block sets it.
    """

    __slots__ = ("_began", "_lane", "_span", "outcome")

    def __init__(self, lane: Lane, statement: object) -> None:
        self._lane = lane
        self._span = database_span(statement, lane)
        self.outcome: Outcome | None = None

    def __enter__(self) -> Self:
        if self._span is not NO_SPAN:
            self._span.__enter__()
        self._began = perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        seconds = perf_counter() - self._began
        if self._span is not NO_SPAN:
            self._span.__exit__(kind, error, traceback)
        count_statement(self._lane, seconds)
        metrics.database_trip(self._lane, self.outcome or (outcome_of(error) if error is not None else "ok"), seconds)


def outcome_of(error: BaseException) -> Outcome:
    if isinstance(error, CancelledError):
        return "cancelled"
    cause = getattr(error, "orig", error)
    unanswered = isinstance(cause, OperationalError) and cause.sqlstate is None
    return "lost" if unanswered or isinstance(error, Unavailable) else "error"
