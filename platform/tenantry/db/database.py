"""Where units of work come from."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy.ext.asyncio import AsyncEngine

from tenantry.db.lane.fast_lane import FastLane
from tenantry.db.session import UnitOfWork
from tenantry.db.transaction import READ_SNAPSHOT

__all__ = ("Database",)

SNAPSHOTS_AT_ONCE = 2


class Database:
    """Gives units of work. `transaction` is one of its own, for effects that outlive an error response.

    A request may hold the connection of its own unit of work while it runs such a transaction. Would both come from one
    pool, as many requests as it has connections would wait for each other; so the others have a pool `apart`. Within a
    `transaction` no other begins.
    """

    def __init__(self, engine: AsyncEngine, lane: FastLane | None = None, *, apart: AsyncEngine | None = None) -> None:
        self._engine, self._apart = engine, apart or engine
        self._lane = lane
        self._snapshots = asyncio.Semaphore(SNAPSHOTS_AT_ONCE)

    def unit_of_work(self, *, fast: bool = False, repeatable: bool = False) -> UnitOfWork:
        """`repeatable`: whoever uses it changes nothing elsewhere, so all of it can be done again after a conflict.

        `fast`: and this is the first time. It may meet conflicts that a later one cannot.
        """
        lane = self._lane if fast else None
        return UnitOfWork(self._engine, lane, repeatable=repeatable, prepares=fast and repeatable)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[UnitOfWork]:
        """Commits at the end of the block, rolls back when it raises."""
        unit_of_work = UnitOfWork(self._apart)
        try:
            yield unit_of_work
            await unit_of_work.commit()
        finally:
            await unit_of_work.close()

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[UnitOfWork]:
        """To read much at one moment; nothing of it is kept.

        It can last as long as a client takes to receive it, so only few may have a connection at a time.
        """
        async with self._snapshots:
            unit_of_work = UnitOfWork(self._engine.execution_options(**READ_SNAPSHOT))
            try:
                yield unit_of_work
            finally:
                await unit_of_work.close()
