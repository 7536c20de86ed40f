"""The unit of work: one request, and one transaction for all that it changes.

Repositories give it SQLAlchemy statements and never see a connection. What is bounded travels on the fast lane,
together with the question whether it may happen; all else takes the ordinary session, an open transaction.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar
from uuid import UUID

from psycopg.pq.abc import PGresult
from sqlalchemy import Executable, Row
from sqlalchemy.exc import MultipleResultsFound
from sqlalchemy.ext.asyncio import AsyncEngine

from tenantry.context import enter_tenant
from tenantry.db.denials import UnacceptableText
from tenantry.db.lane.fast_lane import FastLane
from tenantry.db.lane.question import Question
from tenantry.db.lane.statement import BoundStatement, Statement, bound
from tenantry.db.lane.work import LaneWork
from tenantry.db.tenant_tables import TenantNotBound, refuse_tenant_tables, tables_of
from tenantry.db.transaction import SET_TENANT, SET_USER, Transaction
from tenantry.db.verdict import Heard, Verdict, nobody
from tenantry.db.versions import Versions
from tenantry.errors import AppError
from tenantry.observability.database import DatabaseTrip
from tenantry.security.principal import Principal

__all__ = ("TenantNotBound", "UnitOfWork")

T = TypeVar("T")
Values = Mapping[str, Any]


class UnitOfWork:
    """It begins with the first statement and ends with `commit` or `close`, which rolls back.

    `values` of a statement fill its `bindparam`s by name. `prepares`: it may use statements that were prepared before a
    table was changed, so whoever uses it begins anew after a conflict.
    """

    def __init__(
        self, engine: AsyncEngine, lane: FastLane | None = None, *, repeatable: bool = False, prepares: bool = False
    ) -> None:
        self._engine = engine
        self._session: Transaction | None = None
        self._fast_lane = lane
        self._lane: LaneWork | None = None
        self._question: Question | None = None
        self.verdict, self.versions = Verdict(), Versions()
        self.has_ended = self._has_begun = self._has_committed = False
        self._repeatable, self._prepares = repeatable, prepares
        self.after_commit: list[Callable[[], object]] = []
        self.tenant_id: UUID | None = None
        self.user_id: UUID | None = None

    def begin_request(self, principal: Principal, permission: str | None, heard: Heard = nobody) -> None:
        """Let every transaction begin by checking that credential, subject, tenant and permission hold now.

        It binds the tenant. `permission` None asks for a live session only, and binds its user instead; so does
        `ANY_SESSION`, but for a confined session, whose tenant it binds.
        """
        self._principal, self._heard = principal, heard
        self._question = Question(principal, permission)
        self.tenant_id = self._question.tenant_id
        self.user_id = None if principal.key else principal.subject_id
        if self._fast_lane is not None:
            self._lane = LaneWork(self._fast_lane, self._question)

    async def authorize(self) -> None:
        """Ask now, unless the database has already spoken. No answer may leave before."""
        if self.verdict.refusal is not None:
            raise self.verdict.refusal
        if self.verdict.is_known or self._question is None:
            return
        if self._lane is None or not await self.verdict.on(self._lane.ask()):
            await self._interactive()
        self._confirm()

    @property
    def is_optimistic(self) -> bool:
        """Whether a change may rest on what was read without a lock: a conflict repeats the whole request."""
        return self._repeatable and self._lane is not None and self._session is None

    @property
    def asks_for_repeat(self) -> bool:
        """Nothing of it is kept, because somebody else was faster: all of it is to be done again."""
        return self.verdict.has_conflicted and not self._has_committed

    async def bind_tenant(self, tenant_id: UUID) -> None:
        """Work for this tenant until the transaction ends: for jobs, commands and the birth of a tenant.

        No user stays bound: their own rows of other tenants would be among those of this one.
        """
        await self._run(SET_TENANT, {"id": str(tenant_id)})
        self.tenant_id, self.user_id = tenant_id, None

    async def bind_user(self, user_id: UUID) -> None:
        """Let this person's own rows of every tenant be read, once they have proven who they are."""
        await self._run(SET_USER, {"id": str(user_id)})
        self.user_id = user_id

    async def structs(
        self, statement: Executable, into: Callable[..., T], values: Values | None = None, *, asks: bool = True
    ) -> list[T]:
        """The columns of each row, in their order, given to `into`. A read that only prepares a write need not ask."""
        if (read := await self._read_fast(statement, values, asks=asks)) is not None:
            return read[0].structs(read[1], into)
        return [into(*row) for row in (await self._run(statement, values)).all()]

    async def rows(self, statement: Executable, values: Values | None = None) -> Sequence[Row[Any]]:
        if (read := await self._read_fast(statement, values)) is not None:
            return read[0].rows(read[1])
        rows: Sequence[Row[Any]] = (await self._run(statement, values)).all()
        return rows

    async def row(self, statement: Executable, values: Values | None = None) -> Row[Any] | None:
        """The one row, or None; more than one is an error."""
        rows = await self.rows(statement, values)
        if len(rows) > 1:
            raise MultipleResultsFound
        return rows[0] if rows else None

    async def scalar(self, statement: Executable, values: Values | None = None) -> Any:
        row = await self.row(statement, values)
        return row[0] if row is not None else None

    async def write(
        self, statement: Executable, values: Values | None = None, *, otherwise: type[AppError] | None = None
    ) -> None:
        """Write by the commit at the latest; where no row is changed by then, the request fails with `otherwise`."""
        if self._lane is not None and self._session is None and not self.has_ended:
            held = self._bound(statement, values)
            if self._lane.hold(held, statement, values, otherwise):
                return
        if await self.execute(statement, values) == 0 and otherwise is not None:
            raise self.verdict.unchanged(otherwise)

    async def execute(self, statement: Executable, values: Values | None = None) -> int:
        """Write at once; the number of rows that were changed."""
        return int((await self._run(statement, values)).rowcount)

    async def execute_many(self, statement: Executable, rows: Sequence[dict[str, Any]]) -> int:
        """Once with the parameters of each row, in one round trip; the number of rows that were changed."""
        return int((await self._run(statement, rows)).rowcount)

    async def entity(self, statement: Executable) -> Any:
        """The one mapped object, for a rule to change, or None."""
        session = await self._session_for(statement)
        with DatabaseTrip("session", statement):
            return await self.verdict.on(session.entity(statement))

    async def flush(self) -> None:
        """Write what rules have changed in entities."""
        await self.verdict.on((await self._interactive()).flush())

    async def commit(self) -> None:
        try:
            if self.verdict.refusal is not None:
                raise self.verdict.refusal
            self.versions.require_checked()
            if self._session is not None and (self.verdict.has_failed or not self._has_begun):
                raise RuntimeError("a statement failed, so PostgreSQL would roll back what is to be committed")
            if self._lane is not None and self._session is None and (self._lane.held or not self.verdict.is_known):
                if await self.verdict.on(self._lane.commit()):
                    self._confirm()
                else:
                    await self._interactive()
            elif self._question is not None and not self.verdict.is_known:
                await self._interactive()
            if self._session is not None:
                await self.verdict.on(self._session.commit())
            self._has_committed = True
            for act in self.after_commit:
                act()
        except UnacceptableText:
            await self.authorize()
            raise
        finally:
            if self._session is not None:
                await self.close()
            self.has_ended = True

    async def close(self) -> None:
        """Roll back what was not committed and give the connection back, even when the request is cancelled."""
        if not self.has_ended:
            self.has_ended = True
            if self._session is not None:
                await self._session.close()

    async def _read_fast(
        self, statement: Executable, values: Values | None, *, asks: bool = True
    ) -> tuple[Statement, PGresult] | None:
        """None where the session has to read."""
        lane = self._lane if self._session is None and not self.has_ended else None
        if lane is None or not lane.takes_read(read := self._bound(statement, values)):
            return None
        if (results := await self.verdict.on(lane.read(read, asks=asks), asks=asks)) is None:
            return None
        if asks:
            self._confirm()
        return read.statement, results[0]

    def _bound(self, statement: Executable, values: Values | None) -> BoundStatement:
        prepared = bound(statement, values)
        if self.tenant_id is None:
            refuse_tenant_tables(prepared.statement.tables, user_is_bound=True)
        return prepared

    async def _run(self, statement: Executable, values: Values | Sequence[Values] | None = None) -> Any:
        await self._session_for(statement)
        return await self._execute(statement, values)

    async def _session_for(self, statement: Executable) -> Transaction:
        if self.tenant_id is None:
            refuse_tenant_tables(tables_of(statement), user_is_bound=self.user_id is not None)
        return await self._interactive()

    async def _interactive(self) -> Transaction:
        """The ordinary session, in a transaction that has begun with the question and holds what was written so far."""
        if self.has_ended:
            raise RuntimeError("this unit of work has ended; a stream needs one of its own")
        if self._session is None:
            self._session = Transaction(self._engine)
            self.verdict.has_failed = False
            with DatabaseTrip("session", "begin_request" if self._question is not None else "BEGIN"):
                await self.verdict.on(self._session.begin(self._question, prepares=self._prepares))
            self.verdict.may_rest_on_stale = self._prepares
            if self._question is not None:
                self._confirm()
            for write in self._lane.held if self._lane is not None else ():
                changed = (await self._execute(write.source, write.values)).rowcount
                if not changed and write.otherwise is not None:
                    raise self.verdict.unchanged(write.otherwise)
            self._has_begun = True
        if not self._has_begun:
            raise RuntimeError("this unit of work could not begin; nothing may happen in it")
        return self._session

    async def _execute(self, statement: Executable, values: Values | Sequence[Values] | None) -> Any:
        assert self._session is not None
        with DatabaseTrip("session", statement):
            return await self.verdict.on(self._session.execute(statement, values))

    def _confirm(self) -> None:
        if not self.verdict.is_known:
            self.verdict.is_known = True
            enter_tenant(self.tenant_id)
            self._heard(self._principal, self._lane.plan if self._lane is not None else None)
