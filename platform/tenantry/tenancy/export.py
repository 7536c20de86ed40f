"""All data of a tenant at one moment, as an archive that is made while it is read."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Column, ColumnElement, Select, String, Table, Uuid, column, or_, select, table, text

from tenantry.clock import now
from tenantry.db.base import Base
from tenantry.db.database import Database
from tenantry.db.migrations import CURRENT_REVISION
from tenantry.db.session import UnitOfWork
from tenantry.security.permissions import Permission
from tenantry.security.principal import Principal
from tenantry.tenancy.archive import ArchiveWriter, Manifest
from tenantry.tenancy.tables import owned_tables

__all__ = ("MEDIA_TYPE", "PEOPLE", "TENANTS", "export", "exported_columns", "person_columns")

MEDIA_TYPE = "application/zip"
ROWS_PER_BATCH = 200
TENANTS = "tenants"
PEOPLE = table("people", column("id", Uuid()), column("name", String()), column("email", String()))
READ_ONLY = text("SET TRANSACTION READ ONLY")

Row = dict[str, Any]


async def export(
    database: Database, tenant_id: UUID, *, by: Principal | None = None, permission: Permission | None = None
) -> AsyncGenerator[bytes, None]:
    """The parts of the archive, in a transaction of their own: for a principal, or for an operator where there is none.

    It needs as much memory as one batch of rows takes. What fails in the middle leaves an archive that does not open.
    """
    writer = ArchiveWriter()
    async with database.snapshot() as unit_of_work:
        if by is None or permission is None:
            await unit_of_work.bind_tenant(tenant_id)
        else:
            unit_of_work.begin_request(by, permission.name)
        # After the question: that may write down when an API key was used.
        await unit_of_work.execute(READ_ONLY)
        tenant = await _tenant(unit_of_work, tenant_id)
        for name, batches in _sources(unit_of_work, tenant_id, tenant).items():
            with writer.table(name) as file:
                async for batch in batches:
                    file.add(batch)
                    if part := writer.take():
                        yield part
        revision: str = await unit_of_work.scalar(CURRENT_REVISION)
    manifest = Manifest(revision, tenant_id, tenant["slug"], tenant["name"], now(), writer.tables)
    yield writer.finish(manifest)


def exported_columns(exported: Table) -> list[Column[Any]]:
    return [each for each in exported.columns if not each.info.keys() & {"secret", "derived"}]


def person_columns(owned: Table) -> list[Column[Any]]:
    """Those that hold the id of an account."""
    return [each for each in owned.columns if any(key.target_fullname == "users.id" for key in each.foreign_keys)]


def _sources(unit_of_work: UnitOfWork, tenant_id: UUID, tenant: Row) -> dict[str, AsyncIterator[Sequence[Row]]]:
    tables = owned_tables()
    found: dict[str, AsyncIterator[Sequence[Row]]] = {TENANTS: _just(tenant)}
    found[PEOPLE.name] = _batches(unit_of_work, _people(tables, tenant_id), PEOPLE.c.id)
    for owned in tables:
        rows = select(*exported_columns(owned)).where(owned.c.tenant_id == tenant_id)
        found[owned.name] = _batches(unit_of_work, rows, owned.c.id)
    return found


async def _tenant(unit_of_work: UnitOfWork, tenant_id: UUID) -> Row:
    tenants = Base.metadata.tables[TENANTS]
    row = await unit_of_work.row(select(*exported_columns(tenants)).where(tenants.c.id == tenant_id))
    if row is None:
        raise LookupError(f"there is no tenant {tenant_id}")
    return dict(row._mapping)


def _people(tables: list[Table], tenant_id: UUID) -> "Select[Any]":
    referred = [
        PEOPLE.c.id.in_(select(each).where(owned.c.tenant_id == tenant_id))
        for owned in tables
        for each in person_columns(owned)
    ]
    return select(PEOPLE).where(or_(*referred))


async def _just(row: Row) -> AsyncIterator[Sequence[Row]]:
    yield [row]


async def _batches(
    unit_of_work: UnitOfWork, rows: "Select[Any]", key: ColumnElement[Any]
) -> AsyncIterator[Sequence[Row]]:
    page = rows.order_by(key).limit(ROWS_PER_BATCH)
    batch = await unit_of_work.rows(page)
    while batch:
        yield [dict(row._mapping) for row in batch]
        if len(batch) < ROWS_PER_BATCH:
            return
        batch = await unit_of_work.rows(page.where(key > batch[-1].id))
