"""Runs migrations as the owner of the tables, then mirrors the permissions and quotas that the slices declare."""

from typing import Any, Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext
from sqlalchemy import Connection, text
from sqlalchemy.types import TypeDecorator

import tenantry.db.idempotency
import tenantry.db.rls
import tenantry.limits.models
import tenantry.mail.models
import tenantry.signing.models  # noqa: F401 -- likewise
from tenantry.db.base import Base, is_view
from tenantry.db.migrations import VERSION_TABLE
from tenantry.db.quotas import declared_quotas
from tenantry.db.roles import OWNER_ROLE, RUNTIME_ROLE
from tenantry.feature import slice_modules
from tenantry.plans import mirror_quotas
from tenantry.security.permissions import declared_permissions, mirror_permissions

FEATURES = "features"
config: Any = context.config
slice_modules(FEATURES, "models")


def render_item(kind: str, item: Any, _: AutogenContext) -> str | Literal[False]:
    """Migrations name database types, not ours: they must outlive our code."""
    if kind == "type" and isinstance(item, TypeDecorator):
        return f"sa.{item.impl!r}"
    return False


def include_object(item: Any, _name: str | None, kind: str, _reflected: bool, _other: Any) -> bool:
    """Views are not compared: Alembic would take a mapped one for a table that is missing."""
    return not (kind == "table" and is_view(item))


def run(connection: Connection) -> None:
    # Held until the connection closes: replicas that start together migrate one after the other.
    connection.execute(text("SELECT pg_advisory_lock(hashtext('tenantry migrations'))"))
    connection.execute(text(f"SET ROLE {OWNER_ROLE}"))
    connection.commit()
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        compare_type=True,
        version_table=VERSION_TABLE,
        render_item=render_item,
        include_object=include_object,
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.run_migrations()
    connection.execute(text(f"GRANT SELECT ON {VERSION_TABLE} TO {RUNTIME_ROLE}"))
    if connection.scalar(text("SELECT to_regclass('role_permissions') IS NOT NULL")):
        mirror_permissions(connection, declared_permissions(slice_modules(FEATURES, "permissions")))
    if connection.scalar(text("SELECT to_regclass('plan_quotas') IS NOT NULL")):
        mirror_quotas(connection, declared_quotas().values())
    connection.commit()


if context.is_offline_mode():
    context.configure(
        url=config.db_url,
        target_metadata=Base.metadata,
        literal_binds=True,
        dialect_opts={"paramstyle": "named"},
        version_table=VERSION_TABLE,
    )
    with context.begin_transaction():
        context.run_migrations()
else:
    with config.engine.connect() as migrator:
        run(migrator)
    config.engine.dispose()
