"""How an operator finds tenants: the service sees only the one that it works for."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Connection, Select, column, create_engine, select, table, text

from tenantry.config import Settings
from tenantry.db.engine import migration_url
from tenantry.db.roles import OWNER_ROLE
from tenantry.errors import NotFound

__all__ = ("KnownTenant", "NoSuchTenant", "all_tenants", "as_owner", "tenant_called")


class KnownTenant(msgspec.Struct, frozen=True):
    id: UUID
    slug: str
    name: str
    status: str
    plan: str
    created_at: datetime
    erase_after: datetime | None

    def is_due(self, moment: datetime) -> bool:
        """Its erasure may begin, or has begun."""
        return self.status == "deleting" and (self.erase_after is None or self.erase_after <= moment)


FIELDS: list[Any] = [column(name) for name in KnownTenant.__struct_fields__]
ALL: Select[Any] = select(*FIELDS).select_from(table("tenants"))


class NoSuchTenant(NotFound):
    code = "no_such_tenant"
    title = "No tenant has this slug"


def all_tenants(settings: Settings) -> list[KnownTenant]:
    with as_owner(settings) as connection:
        return [KnownTenant(*row) for row in connection.execute(ALL.order_by("slug"))]


def tenant_called(settings: Settings, slug: str) -> KnownTenant:
    """
    Raises:
        NoSuchTenant: none is.
    """
    with as_owner(settings) as connection:
        row = connection.execute(ALL.where(column("slug") == slug)).one_or_none()
    if row is None:
        raise NoSuchTenant(f"No tenant is called {slug!r}.")
    return KnownTenant(*row)


@contextmanager
def as_owner(settings: Settings, *, writes: bool = False) -> Iterator[Connection]:
    """Of all roles only the owner may see every tenant, and nothing else of them (policy `operators`)."""
    engine = create_engine(migration_url(settings))
    try:
        with engine.begin() as connection:
            if not writes:
                connection.execute(text("SET TRANSACTION READ ONLY"))
            connection.execute(text(f"SET LOCAL ROLE {OWNER_ROLE}"))
            yield connection
    finally:
        engine.dispose()
