"""The end of a tenant: all of its rows go, and a signed report stays."""

import hashlib
from collections import Counter
from datetime import datetime
from uuid import UUID

from sqlalchemy import DateTime, Delete, String, Table, Uuid, column, delete, insert, select, table, tuple_, update

from tenantry.clock import now
from tenantry.db.database import Database
from tenantry.db.migrations import CURRENT_REVISION
from tenantry.db.session import UnitOfWork
from tenantry.errors import Conflict
from tenantry.security.tokens import TokenService
from tenantry.tenancy.tables import mentions, owned_tables, rows_left

__all__ = ("REPORT_TYPE", "ErasureIncomplete", "TenantNotDue", "erase")

REPORT_TYPE = "tenantry-erasure+jwt"
ROWS_PER_BATCH = 1000
TENANTS = table(
    "tenants",
    column("id", Uuid()),
    column("slug", String()),
    column("status", String()),
    column("erase_after", DateTime(timezone=True)),
)
ERASURES = table(
    "erasures", column("id", Uuid()), column("report", String()), column("created_at", DateTime(timezone=True))
)


class TenantNotDue(Conflict):
    code = "tenant_not_due"
    title = "This tenant is not to be erased yet"


class ErasureIncomplete(RuntimeError):
    """A table has rows of the tenant that no model knows of. Nothing is kept of the last transaction."""


async def erase(database: Database, tenant_id: UUID, tokens: TokenService) -> str:
    """Erase a tenant whose grace is over; the report, as a JWT that this service has signed.

    It can be repeated: what an erasure that was interrupted has left is there to be erased. Its counts are those of
    the last run.

    Raises:
        TenantNotDue: it is not deleted, or can still be restored.
    """
    started = now()
    deleted: Counter[str] = Counter()
    tables = owned_tables()[::-1]
    async with database.transaction() as unit_of_work:
        await _begin(unit_of_work, tenant_id, started)
    for owned in tables:
        while True:
            async with database.transaction() as unit_of_work:
                await unit_of_work.bind_tenant(tenant_id)
                batch = await unit_of_work.execute(_batch_of(owned, tenant_id))
            deleted[owned.name] += batch
            if batch < ROWS_PER_BATCH:
                break
    async with database.transaction() as unit_of_work:
        await unit_of_work.bind_tenant(tenant_id)
        return await _finish(unit_of_work, tables, deleted, started, tokens)


async def _begin(unit_of_work: UnitOfWork, tenant_id: UUID, moment: datetime) -> None:
    """Without a time until which it can be restored, nobody can any more."""
    await unit_of_work.bind_tenant(tenant_id)
    is_over = TENANTS.c.erase_after.is_(None) | (TENANTS.c.erase_after <= moment)
    due = update(TENANTS).where(TENANTS.c.id == tenant_id, TENANTS.c.status == "deleting", is_over)
    if not await unit_of_work.execute(due.values(erase_after=None)):
        raise TenantNotDue


def _batch_of(owned: Table, tenant_id: UUID) -> Delete:
    key = [*owned.primary_key.columns]
    some = select(*key).where(owned.c.tenant_id == tenant_id).limit(ROWS_PER_BATCH)
    return delete(owned).where(owned.c.tenant_id == tenant_id, tuple_(*key).in_(some))


async def _finish(
    unit_of_work: UnitOfWork, tables: list[Table], deleted: Counter[str], started: datetime, tokens: TokenService
) -> str:
    tenant_id = unit_of_work.tenant_id
    assert tenant_id is not None
    # Whoever adds a row holds a lock of the tenant's: they have ended by now, and others have to wait until it is gone.
    locked = select(TENANTS.c.slug).where(TENANTS.c.id == tenant_id).with_for_update()
    slug: str = await unit_of_work.scalar(locked)
    for owned in tables:
        deleted[owned.name] += await unit_of_work.execute(delete(owned).where(owned.c.tenant_id == tenant_id))
    cleared = {}
    for mention in mentions():
        forget = update(mention.table).where(mention == tenant_id).values({mention.name: None})
        cleared[str(mention)] = await unit_of_work.execute(forget)
    deleted["tenants"] = await unit_of_work.execute(delete(TENANTS).where(TENANTS.c.id == tenant_id))
    remaining = await rows_left(unit_of_work)
    if any(remaining.values()):
        raise ErasureIncomplete(f"rows are left: {remaining}")
    claims = {
        "tenant": str(tenant_id),
        "slug_sha256": hashlib.sha256(slug.encode()).hexdigest(),
        "deleted": dict(deleted),
        "cleared": cleared,
        "remaining": remaining,
        "revision": await unit_of_work.scalar(CURRENT_REVISION),
        "started_at": started.isoformat(),
        "finished_at": now().isoformat(),
    }
    report = tokens.attest(claims, REPORT_TYPE)
    await unit_of_work.execute(insert(ERASURES).values(id=tenant_id, report=report, created_at=now()))
    return report
