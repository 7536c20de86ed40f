"""All tables that have rows of tenants: found, never listed, so that a slice written tomorrow is among them."""

from sqlalchemy import Column, Table, func, select, table, text
from sqlalchemy.schema import ForeignKeyConstraint

import tenantry.db.idempotency  # noqa: F401 -- a table that no slice owns
from tenantry.db.base import Base, is_view
from tenantry.db.rls import is_tenant_owned
from tenantry.db.session import UnitOfWork
from tenantry.feature import slice_modules

__all__ = ("mentions", "owned_tables", "rows_left")

WITH_TENANT_ID = text(
    """
    SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
      AND a.attname = 'tenant_id' AND NOT a.attisdropped
    ORDER BY c.relname
    """
)


def owned_tables() -> list[Table]:
    """The tenant-owned ones, each after those that it refers to."""
    slice_modules("features", "models")
    return [table for table in Base.metadata.sorted_tables if is_tenant_owned(table)]


def mentions() -> list[Column[object]]:
    """Columns of global tables that refer to a tenant, and can do without."""
    slice_modules("features", "models")
    return [
        column
        for table in Base.metadata.sorted_tables
        if not is_tenant_owned(table) and not is_view(table)
        for constraint in table.constraints
        if isinstance(constraint, ForeignKeyConstraint) and constraint.referred_table.name == "tenants"
        for column in constraint.columns
        if column.nullable
    ]


async def rows_left(unit_of_work: UnitOfWork) -> dict[str, int]:
    """By PostgreSQL's own catalogue, of the tenant that is bound, in every table that has a `tenant_id`."""
    found = {}
    for row in await unit_of_work.rows(WITH_TENANT_ID):
        of_tenant = text("tenant_id = :tenant").bindparams(tenant=unit_of_work.tenant_id)
        counted = select(func.count()).select_from(table(row.relname)).where(of_tenant)
        found[row.relname] = int(await unit_of_work.scalar(counted))
    return found
