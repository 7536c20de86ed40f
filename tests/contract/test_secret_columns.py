"""Secrets of tenants never leave with an export: their columns are marked, and whoever forgets that is told."""

from sqlalchemy import Column, LargeBinary, MetaData, Table, Text

from tenantry.db.base import SECRET
from tenantry.tenancy.export import exported_columns
from tenantry.tenancy.tables import owned_tables

SECRET_NAMES = ("_hash", "_secret", "_token", "password")


def unmarked(tables: list[Table]) -> list[str]:
    """Columns that hold bytes or are called like a secret, and would be exported."""
    return [
        str(column)
        for table in tables
        for column in exported_columns(table)
        if isinstance(column.type, LargeBinary) or column.name.endswith(SECRET_NAMES)
    ]


def test_secrets_are_marked() -> None:
    """No column of a tenant-owned table that could hold a secret is exported."""
    assert [] == unmarked(owned_tables())


def test_a_secret_that_is_not_marked_is_seen() -> None:
    """The rule reports what is planted for it, and lets be what is marked."""
    planted = Table(
        "notes",
        MetaData(),
        Column("seal", LargeBinary()),
        Column("pin_hash", Text()),
        Column("password", Text()),
        Column("key_hash", LargeBinary(), info=SECRET),
        Column("title", Text()),
    )

    assert ["notes.seal", "notes.pin_hash", "notes.password"] == unmarked([planted])
