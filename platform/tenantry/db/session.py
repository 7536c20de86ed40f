"""The unit of work: one request, one transaction, begun by asking the database whether it may happen.

Repositories give it SQLAlchemy statements and never see a connection, so what carries them can change.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import Executable, Row, TextClause, bindparam, func, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
from sqlalchemy.orm import Mapper
from sqlalchemy.sql import visitors
from sqlalchemy.sql.schema import Table
from sqlalchemy.types import Text, Uuid

from tenantry.db.base import Base, TenantOwned
from tenantry.db.denials import translate
from tenantry.security.principal import Principal

__all__ = ("Database", "TenantNotBound", "UnitOfWork")

BEGIN_REQUEST = select(
    func.begin_request(
        bindparam("session", type_=Uuid), bindparam("tenant", type_=Uuid), bindparam("permission", type_=Text)
    )
)
WORD = re.compile(r"\w+")
SET_LOCAL = select(func.set_config(bindparam("name"), bindparam("value"), True))


class TenantNotBound(RuntimeError):
    """A statement touches a tenant's table and no tenant is bound: a fault of the code, not of the request."""


class UnitOfWork:
    """One transaction. It begins with the first statement and ends with `commit` or `close`, which rolls back."""

    def __init__(self, sessions: async_sessionmaker[AsyncSession]) -> None:
        self._session = sessions()
        self._ended = False
        self.tenant_id: UUID | None = None
        self.user_id: UUID | None = None

    async def begin_request(self, principal: Principal, permission: str | None) -> None:
        """Check that session, user, tenant, membership and permission hold now, and bind tenant and user.

        `permission` None asks for session and user only, and binds no tenant.
        """
        tenant = principal.tenant_id if permission else None
        await self._run(BEGIN_REQUEST, {"session": principal.session_id, "tenant": tenant, "permission": permission})
        self.tenant_id, self.user_id = tenant, principal.user_id

    async def bind_tenant(self, tenant_id: UUID) -> None:
        """Work for this tenant until the transaction ends: for jobs, commands and the birth of a tenant."""
        await self._run(SET_LOCAL, {"name": "app.tenant_id", "value": str(tenant_id)})
        self.tenant_id = tenant_id

    async def bind_user(self, user_id: UUID) -> None:
        """Let this person's own rows of every tenant be read, once they have proven who they are."""
        await self._run(SET_LOCAL, {"name": "app.user_id", "value": str(user_id)})
        self.user_id = user_id

    async def rows(self, statement: Executable) -> Sequence[Row[Any]]:
        rows: Sequence[Row[Any]] = (await self._run(statement)).all()
        return rows

    async def row(self, statement: Executable) -> Row[Any] | None:
        """The one row, or None; more than one is an error."""
        row: Row[Any] | None = (await self._run(statement)).one_or_none()
        return row

    async def scalar(self, statement: Executable) -> Any:
        return (await self._run(statement)).scalar_one_or_none()

    async def execute(self, statement: Executable) -> int:
        """The number of rows that were changed."""
        return int((await self._run(statement)).rowcount)

    async def execute_many(self, statement: Executable, rows: Sequence[dict[str, Any]]) -> int:
        """Once with the parameters of each row, in one round trip; the number of rows that were changed."""
        return int((await self._run(statement, rows)).rowcount)

    async def entity(self, statement: Executable) -> Any:
        """The one mapped object, for a rule to change, or None."""
        return (await self._run(statement)).scalar_one_or_none()

    async def flush(self) -> None:
        """Write what rules have changed in entities."""
        try:
            await self._session.flush()
        except DBAPIError as error:
            raise translate(error) from error

    async def commit(self) -> None:
        try:
            await self._session.commit()
        except DBAPIError as error:
            raise translate(error) from error
        finally:
            await self.close()

    async def close(self) -> None:
        """Roll back what was not committed and give the connection back, even when the request is cancelled."""
        if not self._ended:
            self._ended = True
            await asyncio.shield(self._session.close())

    async def _run(
        self, statement: Executable, parameters: dict[str, Any] | Sequence[dict[str, Any]] | None = None
    ) -> Any:
        if self._ended:
            raise RuntimeError("this unit of work has ended; a stream needs one of its own")
        if self.tenant_id is None:
            _refuse_tenant_tables(statement, user_is_bound=self.user_id is not None)
        try:
            return await self._session.execute(statement, parameters)
        except DBAPIError as error:
            raise translate(error) from error


class Database:
    """Gives units of work. `transaction` is one of its own, for effects that outlive an error response."""

    def __init__(self, sessions: async_sessionmaker[AsyncSession]) -> None:
        self._sessions = sessions

    def unit_of_work(self) -> UnitOfWork:
        return UnitOfWork(self._sessions)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[UnitOfWork]:
        """Commits at the end of the block, rolls back when it raises."""
        unit_of_work = self.unit_of_work()
        try:
            yield unit_of_work
            await unit_of_work.commit()
        finally:
            await unit_of_work.close()


def _refuse_tenant_tables(statement: Executable, *, user_is_bound: bool) -> None:
    closed = _tenant_tables() - (_tables_with_own_rows() if user_is_bound else frozenset())
    for element in _elements(statement, set()):
        if touched := closed.intersection(_names(element)):
            raise TenantNotBound(f"no tenant is bound, and the statement touches {', '.join(touched)}")


def _names(element: Any) -> list[str]:
    """Of tables; of SQL as text every word may be one."""
    if isinstance(element, TextClause):
        return WORD.findall(element.text)
    return [element.name] if isinstance(element, Table) else []


def _elements(root: Any, seen: set[Any]) -> Iterator[Any]:
    """All parts of a statement; UPDATE and DELETE name a second table by nothing but its columns."""
    for element in visitors.iterate(root):
        yield element
        table = getattr(element, "table", None)
        if table is not None and table not in seen:
            seen.add(table)
            yield from _elements(table, seen)


@cache
def _tenant_tables() -> frozenset[str]:
    return frozenset(mapper.local_table.description for mapper in _tenant_owned())


@cache
def _tables_with_own_rows() -> frozenset[str]:
    """Those of which people see their own rows without a tenant."""
    owned = (mapper for mapper in _tenant_owned() if mapper.class_.readable_across_tenants)
    return frozenset(mapper.local_table.description for mapper in owned)


def _tenant_owned() -> list[Mapper[Any]]:
    return [mapper for mapper in Base.registry.mappers if issubclass(mapper.class_, TenantOwned)]
