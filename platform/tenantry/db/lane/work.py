"""The part of a unit of work that travels on the fast lane: its reads, and the writes that wait for the commit."""

from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, NamedTuple

from psycopg.errors import LockNotAvailable, QueryCanceled
from psycopg.pq.abc import PGresult
from sqlalchemy import Executable

from tenantry.db.lane.fast_lane import FastLane, LaneClosed
from tenantry.db.lane.query import Step
from tenantry.db.lane.question import Question
from tenantry.db.lane.statement import BoundStatement
from tenantry.errors import AppError
from tenantry.observability.database import DatabaseTrip

__all__ = ("HeldWrite", "LaneWork")

Values = Mapping[str, Any]


class HeldWrite(NamedTuple):
    bound: BoundStatement
    source: Executable
    values: Values | None
    otherwise: type[AppError] | None


class LaneWork:
    """Every trip begins with `question`: whether the request may happen, which also binds its tenant."""

    def __init__(self, lane: FastLane, question: Question) -> None:
        self._lane = lane
        self._question = question
        self.plan: bytes | None = None
        """Of the tenant, once the question is answered; empty where none is bound."""
        self.held: list[HeldWrite] = []

    def takes_read(self, statement: BoundStatement) -> bool:
        """A read must see what was written before, so it does not overtake writes that wait."""
        known = statement.statement
        return not self.held and not known.writes and known.refusal is None and self._lane.takes(known)

    def hold(self, statement: BoundStatement, source: Executable, values: Values | None,
             otherwise: type[AppError] | None) -> bool:  # fmt: skip
        """False when the write has to happen elsewhere."""
        known = statement.statement
        if not known.writes or known.refusal is not None or not self._lane.takes(known):
            return False
        self.held.append(HeldWrite(statement, source, values, otherwise))
        return True

    def read(self, statement: BoundStatement, *, asks: bool = True) -> Awaitable[list[PGresult] | None]:
        """The one result, or None when the session has to read.

        Without asking, the tenant that is claimed is bound and nothing else.
        """
        return self._trip([statement], writes=False, first=None if asks else self._question.claim)

    async def ask(self) -> bool:
        """False when the session has to ask."""
        return await self._trip([], writes=False) is not None

    async def commit(self) -> bool:
        """Send what was held, with its commit. False when nothing has happened and the session has to do it.

        Raises:
            AppError: the one that a write named for the case that it changes nothing.
        """
        # A write that changes nothing must undo the others, which have gone with it here: then it asks the session.
        if len(self.held) > 1 and any(write.otherwise for write in self.held):
            return False
        results = await self._trip([write.bound for write in self.held], writes=bool(self.held))
        if results is None:
            return False
        for write, result in zip(self.held, results, strict=True):
            if write.otherwise is not None and not result.command_tuples:
                raise write.otherwise
        self.held.clear()
        return True

    async def _trip(
        self, statements: Sequence[BoundStatement], *, writes: bool, first: Step | None = None
    ) -> list[PGresult] | None:
        steps = [first or self._question.step, *[statement.step() for statement in statements]]
        try:
            with DatabaseTrip("fast", statements[-1].statement.text if statements else "begin_request"):
                answered, *results = await self._lane.run(steps, writes=writes)
            if first is None:
                self.plan = answered.get_value(0, 1)
            return results
        except LaneClosed:
            return None
        except (QueryCanceled, LockNotAvailable):
            # Too slow to hold up others, and undone.
            for statement in statements:
                self._lane.demote(statement.statement)
            return None
