"""One transaction of the ordinary session: a connection of its own, and mapped objects only where a rule needs one."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Executable, bindparam, event, func, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession

from tenantry.db.lane.question import Question

__all__ = ("POOLED", "READ_SNAPSHOT", "SET_TENANT", "SET_USER", "Transaction", "let_begin")

Values = Mapping[str, Any]
OPENING, PREPARES, BEGIN = "tenantry_opening", "tenantry_prepares", "tenantry_begin"
POOLED = "tenantry_pooled"
"""In the `info` of a connection: whether to keep nothing in it."""
SET_USER = select(func.set_config("app.user_id", bindparam("id"), True))
SET_TENANT = select(
    func.set_config("app.tenant_id", bindparam("id"), True),
    *(func.set_config(name, "", True) for name in ("app.user_id", "app.plan")),
)
READ_SNAPSHOT = {BEGIN: "BEGIN ISOLATION LEVEL REPEATABLE READ"}
"""Options of an engine whose transactions see one moment, however many statements they take."""
PREPARED_AFTER = 5  # uses on one connection


class Transaction:
    def __init__(self, engine: AsyncEngine) -> None:
        self._connection: AsyncConnection = engine.connect()
        self._entities: AsyncSession | None = None

    async def begin(self, question: Question | None, *, prepares: bool) -> None:
        """Begin, and ask the question in the same round trip."""
        await self._connection.start()
        opening = question.sql if question is not None else ""
        connection = self._connection.sync_connection
        assert connection is not None
        connection.execution_options(**{OPENING: opening, PREPARES: prepares})
        await self._connection.begin()

    async def execute(self, statement: Executable, values: Values | Sequence[Values] | None) -> Any:
        if self._entities is None:
            return await self._connection.execute(statement, values)
        # It must see what rules have changed in objects.
        await self._entities.flush()
        return await self._entities.execute(statement, values)

    async def entity(self, statement: Executable) -> Any:
        """The one mapped object, or None."""
        if self._entities is None:
            self._entities = AsyncSession(self._connection, expire_on_commit=False)
        # Also of a row that was read before: a statement may have changed it since.
        found = await self._entities.execute(statement, execution_options={"populate_existing": True})
        return found.scalar_one_or_none()

    async def flush(self) -> None:
        if self._entities is not None:
            await self._entities.flush()

    async def commit(self) -> None:
        await self.flush()
        await self._connection.commit()

    async def close(self) -> None:
        """Roll back what was not committed and give the connection back, even when the request is cancelled."""
        await asyncio.shield(self._close())

    async def _close(self) -> None:
        try:
            if self._entities is not None:
                await self._entities.close()
        finally:
            # Else there was none to have.
            if self._connection.sync_connection is not None:
                await self._connection.close()


def let_begin(engine: AsyncEngine, pooled_limits: str) -> None:
    """Let every transaction of this engine begin with its question in one round trip; `pooled_limits` may be needed."""

    @event.listens_for(engine.sync_engine, "begin")
    def _begin(connection: Connection) -> None:
        options = connection.get_execution_options()
        driver: Any = connection.connection.driver_connection
        driver.prepare_threshold = None  # several statements at once cannot be prepared
        pooled = connection.info[POOLED]
        begin, opening = options.get(BEGIN, "BEGIN"), options.get(OPENING, "")
        connection.exec_driver_sql(f"{begin}; {pooled_limits if pooled else ''}{opening}")
        if options.get(PREPARES) and not pooled:
            driver.prepare_threshold = PREPARED_AFTER
