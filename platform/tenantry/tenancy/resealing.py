"""What older keys have sealed is sealed anew with the newest, so that they can go.

A column says by `info=sealed_for(…)` that the vault has sealed it, so one that is written tomorrow is among them.
"""

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Column, Connection, RowMapping, select, text, update

from tenantry.config import Settings
from tenantry.db.base import Base
from tenantry.db.rls import is_tenant_owned
from tenantry.feature import slice_modules
from tenantry.security.vault import CannotOpen, Vault
from tenantry.tenancy.directory import all_tenants, as_owner

__all__ = ("Resealed", "reseal", "sealed_columns")

PLATFORM = Path(__file__).parents[1]
BIND = text("SELECT set_config('app.tenant_id', :id, true)")


class Resealed(msgspec.Struct):
    """Of one column."""

    column: str
    sealed_anew: int = 0
    lost: int = 0
    """No key that is named opens them."""


def sealed_columns() -> list[Column[Any]]:
    """Of the slices and of the platform, whatever else is imported."""
    slice_modules("features", "models")
    # Found, not imported above: packages that stand on this one have tables as well.
    for models in sorted(PLATFORM.glob("*/models.py")):
        import_module(f"{PLATFORM.name}.{models.parent.name}.models")
    columns = (column for table in Base.metadata.sorted_tables for column in table.columns)
    return [column for column in columns if "sealed" in column.info]


def reseal(settings: Settings) -> list[Resealed]:
    """As the owner of the tables: the service may not write all of them. A row that changes meanwhile is left alone."""
    vault, found = Vault.from_settings(settings), []
    tenants = [tenant.id for tenant in all_tenants(settings)]
    for column in sealed_columns():
        counts = Resealed(str(column))
        with as_owner(settings, writes=True) as connection:
            for row in old_rows(connection, column, vault, tenants if is_tenant_owned(column.table) else [None]):
                _reseal(connection, column, row, vault, counts)
        found.append(counts)
    return found


def old_rows(
    connection: Connection, column: Column[Any], vault: Vault, tenants: list[UUID] | list[None]
) -> Iterator[RowMapping]:
    """Of each tenant while it is bound."""
    for tenant in tenants:
        if tenant is not None:
            connection.execute(BIND, {"id": str(tenant)})
        chosen = select(*column.table.primary_key, column.table.c[column.info["sealed"][1]].label("owner"), column)
        rows = connection.execute(chosen.where(column.is_not(None), column != b"")).mappings().all()
        yield from (row for row in rows if not vault.is_current(row[column]))


def _reseal(connection: Connection, column: Column[Any], row: RowMapping, vault: Vault, counts: Resealed) -> None:
    purpose, before = column.info["sealed"][0], row[column]
    owner = row["owner"].encode() if isinstance(row["owner"], str) else row["owner"].bytes
    try:
        after = vault.seal(vault.open(before, purpose=purpose, owner=owner), purpose=purpose, owner=owner)
    except CannotOpen:
        counts.lost += 1
        return
    same = [key == row[key] for key in column.table.primary_key]
    unchanged = {each.name: each for each in column.table.columns if each.onupdate is not None}
    changing = update(column.table).where(*same, column == before).values({**unchanged, column.name: after})
    counts.sealed_anew += connection.execute(changing).rowcount
