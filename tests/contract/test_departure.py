"""Who deletes their account leaves nothing behind, in whatever table: all are found, also those of a new slice."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from advanced_alchemy.types import DateTimeUTC
from polyfactory.factories.sqlalchemy_factory import SQLAlchemyFactory
from psycopg import sql
from sqlalchemy import insert

from tenantry.clock import now
from tenantry.db.base import Base
from tenantry.testing import Account, Api, TenantHandle
from tenantry.testing.databases import DatabaseUrls

TABLES = """
    SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace ORDER BY relname
"""
REFERRING = """
    SELECT DISTINCT conrelid::regclass::text FROM pg_constraint
     WHERE contype = 'f' AND confrelid = 'users'::regclass ORDER BY 1
"""
STAYS = {
    "users": "others refer to its id; it says nothing else",
    "sessions": "when somebody was logged in, without from where and with what; what happened in one refers to it",
}


@pytest.fixture
def admin(database_urls: DatabaseUrls) -> Iterator["psycopg.Connection[Any]"]:
    """No policy holds for it."""
    with psycopg.connect(database_urls.conninfo, autocommit=True) as connection:
        yield connection


def naming(admin: "psycopg.Connection[Any]", mark: str) -> set[str]:
    """The tables that have a row with this in any column."""
    found = set()
    for (table,) in admin.execute(TABLES).fetchall():
        has = sql.SQL("SELECT EXISTS (SELECT FROM {table} t WHERE t::text LIKE %s)").format(table=sql.Identifier(table))
        if admin.execute(has, [f"%{mark}%"]).fetchone() == (True,):
            found.add(table)
    return found


async def referring_row(tenant: TenantHandle, model: type[Any], account: Account) -> Any:
    """A row of this person, with whatever else it refers to."""
    values: dict[str, Any] = {}
    for column in model.__table__.columns:
        if isinstance(column.type, DateTimeUTC):
            values[column.key] = now()
        for key in column.foreign_keys:
            referred = next(each for each in Base.registry.mappers if each.local_table is key.column.table)
            if referred.local_table.description == "users":
                values[column.key] = account.id
            elif column.nullable:
                values[column.key] = None
            else:
                values[column.key] = (await referring_row(tenant, referred.class_, account)).id
    row = SQLAlchemyFactory.create_factory(model, __set_relationships__=False).build(**values)
    held = {column.key: getattr(row, column.key) for column in model.__table__.columns if column.computed is None}
    await tenant.run(insert(model).values(held))
    return row


async def test_nothing_is_left(api: Api, acme: TenantHandle, admin: "psycopg.Connection[Any]") -> None:
    """With a row in each table that refers to people, the end of an account leaves its id in those alone that are to
    stay, each for a reason, and its address nowhere."""
    ada = acme.member
    referring = {table for (table,) in admin.execute(REFERRING).fetchall()}
    for mapper in [*Base.registry.mappers]:
        if mapper.local_table.description in referring - naming(admin, str(ada.id)):
            await referring_row(acme, mapper.class_, ada)
    before = naming(admin, str(ada.id))
    gone = await api.as_(ada).delete("/me")
    after = naming(admin, str(ada.id))

    assert referring <= before
    assert 204 == gone.status_code
    assert STAYS.keys() == after
    assert set() == naming(admin, ada.email)
