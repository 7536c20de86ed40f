from typing import Any
from uuid import UUID

from sqlalchemy import delete, insert, select, update

from features.sso.dtos import Flow
from features.sso.models import FlowRow
from tenantry.clock import now
from tenantry.db.session import UnitOfWork

FLOW = tuple(getattr(FlowRow, field) for field in Flow.__struct_fields__)
FLOWS_PRUNED = 20


class FlowRepository:
    def __init__(self, unit_of_work: UnitOfWork) -> None:
        self.unit_of_work = unit_of_work

    async def add(self, **values: Any) -> None:
        await self.unit_of_work.execute(insert(FlowRow).values(**values))

    async def with_state(self, state_hash: bytes, browser_hash: bytes) -> Flow | None:
        """Takes the state from it, once; only in the browser that began."""
        of_browser = (FlowRow.state_hash == state_hash) & (FlowRow.browser_hash == browser_hash)
        taking = update(FlowRow).where(of_browser, FlowRow.expires_at > now())
        return await self._flow(taking.values(state_hash=None).returning(*FLOW))

    async def await_code(self, id: UUID, **values: Any) -> None:
        await self.unit_of_work.execute(update(FlowRow).where(FlowRow.id == id).values(**values))

    async def with_code(self, code_hash: bytes) -> Flow | None:
        """Ends it, whoever asks: a code that fell into wrong hands is good for nothing any more."""
        live = (FlowRow.code_hash == code_hash) & (FlowRow.expires_at > now())
        return await self._flow(delete(FlowRow).where(live).returning(*FLOW))

    async def prune(self) -> None:
        old = (
            select(FlowRow.id).where(FlowRow.expires_at <= now()).limit(FLOWS_PRUNED).with_for_update(skip_locked=True)
        )
        await self.unit_of_work.execute(delete(FlowRow).where(FlowRow.id.in_(old)))

    async def _flow(self, statement: Any) -> Flow | None:
        row = await self.unit_of_work.row(statement)
        return Flow(**row._mapping) if row is not None else None
