"""One transaction of the ordinary session: a connection of its own, and mapped objects only where a rule needs one."""

import asyncio
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Self
from uuid import UUID

from psycopg.sql import quote
from sqlalchemy import Connection, Executable
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession

__all__ = ("Transaction", "opening_of")

Values = Mapping[str, Any]
OPENING = "tenantry_opening"


class Transaction:
    def __init__(self, engine: AsyncEngine) -> None:
        self._connection: AsyncConnection = engine.connect()
        self._entities: AsyncSession | None = None

    async def begin(self, question: Values | None) -> Self:
        """Begin, and ask the question in the same round trip."""
        await self._connection.start()
        if question is not None:
            sync = self._connection.sync_connection
            assert sync is not None
            sync.execution_options(**{OPENING: _question_of(**question)})
        await self._connection.begin()
        return self

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


def opening_of(connection: Connection) -> str:
    """SQL that is to begin this transaction."""
    opening: str = connection.get_execution_options().get(OPENING, "")
    return opening


def _question_of(session: UUID, tenant: UUID | None, permission: str | None) -> str:
    # Of hexadecimal digits and a name from the code: no parameter keeps it from travelling together with BEGIN.
    bound = f"'{tenant.hex}'" if tenant is not None else "NULL"
    return f"SELECT begin_request('{session.hex}', {bound}, {_literal(permission)})"


@cache
def _literal(permission: str | None) -> str:
    return quote(permission).replace("%", "%%")
