"""An archive becomes a new tenant, all of it or nothing, as the runtime role and with that tenant bound."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from uuid import UUID

import msgspec
from sqlalchemy import bindparam, insert, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.dml import Insert

from tenantry.clock import now
from tenantry.db.base import Base
from tenantry.db.database import Database
from tenantry.db.migrations import CURRENT_REVISION
from tenantry.db.session import UnitOfWork
from tenantry.errors import Conflict, NotFound, Unprocessable
from tenantry.ids import new_id
from tenantry.tenancy.archive import Archive, ArchiveRefused
from tenantry.tenancy.export import PEOPLE, TENANTS
from tenantry.tenancy.fitting import ROWS_PER_BATCH, Fitting, Row, TableFitting, insertion
from tenantry.tenancy.tables import owned_tables

__all__ = ("ImportReport", "OwnerMissing", "OwnerUnknown", "import_tenant")

ACCOUNT = select(PEOPLE.c.id).where(PEOPLE.c.email == bindparam("email"))
HAS_OWNER = text("SELECT count(*) FROM memberships WHERE role = 'owner' AND user_id IS NOT NULL")
MAKE_OWNER = text(
    "INSERT INTO memberships (id, user_id, role, created_at, updated_at) VALUES (:id, :user_id, 'owner', :now, :now)"
    " ON CONFLICT (tenant_id, subject_id) DO UPDATE SET role = 'owner', custom_role = NULL, updated_at = :now"
)


class OwnerMissing(Conflict):
    code = "owner_missing"
    title = "None of the tenant's owners has an account here; name one who is to own it"


class OwnerUnknown(NotFound):
    code = "owner_unknown"
    title = "Nobody here has this address"


class ImportReport(msgspec.Struct, frozen=True):
    tenant_id: UUID
    rows: dict[str, int]
    """Kept, by table."""
    skipped: dict[str, dict[str, int]]
    """By table and reason."""


async def import_tenant(
    database: Database, path: Path, *, slug: str, plan: str, owner: str | None = None
) -> ImportReport:
    """A new tenant with this slug and plan of what the archive holds. Ids of rows stay, that of the tenant does not.

    People are found by their addresses. `owner` is the address of an account that becomes an owner.

    Raises:
        ArchiveRefused: it is damaged, of another revision, or says what cannot be.
        OwnerUnknown, OwnerMissing: nobody would own it.
        AppError: the slug is taken, or a quota of the plan is too small.
    """
    tables = owned_tables()
    tenant_id = new_id()
    with Archive.opened(path) as archive:
        async with database.transaction() as unit_of_work:
            await unit_of_work.bind_tenant(tenant_id)
            names = {TENANTS, PEOPLE.name, *(owned.name for owned in tables)}
            archive.check(await unit_of_work.scalar(CURRENT_REVISION), names)
            await _add_tenant(unit_of_work, archive, {"id": tenant_id, "slug": slug, "plan": plan})
            fitting = Fitting(archive.manifest.tenant_id, await _people(unit_of_work, archive), tables)
            rows = {
                owned.name: await _add_rows(unit_of_work, archive, fitting.into(owned), insertion(owned))
                for owned in tables
            }
            await _see_to_owner(unit_of_work, owner)
    return ImportReport(tenant_id, rows, {name: dict(reasons) for name, reasons in fitting.skipped.items()})


async def _add_tenant(unit_of_work: UnitOfWork, archive: Archive, own: Row) -> None:
    """Its name and settings are those of the archive; it is active, whatever the other was."""
    rows = [*islice(archive.rows(TENANTS), 2)]
    if [row.get("id") for row in rows] != [str(archive.manifest.tenant_id)]:
        raise ArchiveRefused("It is not of one tenant.")
    taken = {"name": rows[0].get("name"), "settings": rows[0].get("settings")}
    if not isinstance(taken["name"], str) or not isinstance(taken["settings"], dict):
        raise ArchiveRefused("Its tenant has no name or no settings.")
    values = {**own, **taken, "status": "active", "created_at": now(), "updated_at": now()}
    await unit_of_work.execute(insert(Base.metadata.tables[TENANTS]).values(values))


async def _people(unit_of_work: UnitOfWork, archive: Archive) -> dict[str, str]:
    """By the id that a person has in the archive, their id here; none of those who have no account."""
    found = {}
    for batch in _batches(archive.rows(PEOPLE.name)):
        if not all(isinstance(row.get(name), str) for row in batch for name in ("id", "email")):
            raise ArchiveRefused("It has people without id or address.")
        ids = {row["email"]: row["id"] for row in batch}
        here = await unit_of_work.rows(select(PEOPLE.c.id, PEOPLE.c.email).where(PEOPLE.c.email.in_([*ids])))
        found.update({ids[row.email]: str(row.id) for row in here})
    return found


async def _add_rows(unit_of_work: UnitOfWork, archive: Archive, fit: TableFitting, into: Insert) -> int:
    added = 0
    for batch in _batches(archive.rows(fit.name)):
        kept = [row for row in map(fit, batch) if row is not None]
        added += len(kept)
        try:
            await unit_of_work.execute(into, {"rows": msgspec.json.encode(kept).decode()})
        except (DBAPIError, Conflict, Unprocessable) as error:
            reason = error.orig if isinstance(error, DBAPIError) else error.__cause__ or error
            raise ArchiveRefused(f"{fit.name} has a row that cannot be: {reason}") from error
    if added + fit.skipped.total() != archive.manifest.tables[fit.name].rows:
        raise ArchiveRefused(f"{fit.name} has not as many rows as the manifest says.")
    return added


async def _see_to_owner(unit_of_work: UnitOfWork, owner: str | None) -> None:
    if owner is not None:
        account = await unit_of_work.scalar(ACCOUNT, {"email": owner.strip().lower()})
        if account is None:
            raise OwnerUnknown
        await unit_of_work.execute(MAKE_OWNER, {"id": new_id(), "user_id": account, "now": now()})
    if not await unit_of_work.scalar(HAS_OWNER):
        raise OwnerMissing


def _batches(rows: Iterator[Row]) -> Iterator[list[Row]]:
    while batch := [*islice(rows, ROWS_PER_BATCH)]:
        yield batch
