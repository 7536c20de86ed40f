"""Where units of work come from."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy.ext.asyncio import AsyncEngine

from tenantry.db.lane.fast_lane import FastLane
from tenantry.db.session import UnitOfWork

__all__ = ("Database",)


class Database:
    """Gives units of work. `transaction` is one of its own, for effects that outlive an error response."""

    def __init__(self, engine: AsyncEngine, lane: FastLane | None = None) -> None:
        self._engine = engine
        self._lane = lane

    def unit_of_work(self, *, fast: bool = False, repeatable: bool = False) -> UnitOfWork:
        """`repeatable`: whoever uses it changes nothing elsewhere, so all of it can be done again after a conflict.

        `fast`: and this is the first time. It may meet conflicts that a later one cannot.
        """
        lane = self._lane if fast else None
        return UnitOfWork(self._engine, lane, repeatable=repeatable, prepares=fast and repeatable)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[UnitOfWork]:
        """Commits at the end of the block, rolls back when it raises."""
        unit_of_work = self.unit_of_work()
        try:
            yield unit_of_work
            await unit_of_work.commit()
        finally:
            await unit_of_work.close()
