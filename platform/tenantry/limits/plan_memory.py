"""Which plan a tenant is on, as far as this process has heard lately.

The question that a request begins with answers it on the way, so in the long run nobody has to ask for it.
"""

import asyncio
from collections.abc import Callable
from time import monotonic
from uuid import UUID

from sqlalchemy import Uuid, bindparam, text

from tenantry.db.database import Database

__all__ = ("PlanMemory",)

REMEMBERED, SECONDS = 10_000, 30.0
PLAN = text("SELECT plan FROM tenants WHERE id = :id").bindparams(bindparam("id", type_=Uuid()))


class PlanMemory:
    database: Database
    """There once the application has started."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._plans: dict[int, tuple[bytes, float]] = {}
        """By the numbers of tenants: to hash a UUID takes a call of Python."""
        self._now = 0.0
        """When somebody last wanted to know: exact enough for what is heard of the same request."""
        self._asking = asyncio.Lock()

    def known(self, tenant_id: UUID) -> bytes | None:
        self._now = now = self._clock()
        found = self._plans.get(tenant_id.int)
        return found[0] if found is not None and found[1] > now else None

    def hear(self, tenant_id: UUID, plan: bytes) -> None:
        tenant = tenant_id.int
        if tenant not in self._plans and len(self._plans) >= REMEMBERED:
            del self._plans[next(iter(self._plans))]
        self._plans[tenant] = plan, self._now + SECONDS

    async def ask(self, tenant_id: UUID) -> None:
        """Afterwards it is known; nothing limits a tenant that is no more, for it is let in nowhere."""
        async with self._asking:
            if self.known(tenant_id) is not None:
                return
            async with self.database.transaction() as unit_of_work:
                await unit_of_work.bind_tenant(tenant_id)
                plan = await unit_of_work.scalar(PLAN, {"id": tenant_id})
        self.hear(tenant_id, (plan or "").encode())
