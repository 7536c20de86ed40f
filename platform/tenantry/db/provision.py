"""From nothing to a migrated database: the embedded one by itself, any other with an administrator's address."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import psycopg
from advanced_alchemy.alembic.commands import AlembicCommands
from advanced_alchemy.config import SQLAlchemySyncConfig
from advanced_alchemy.config.sync import AlembicSyncConfig
from sqlalchemy import URL, create_engine

from tenantry.config import Settings
from tenantry.db.base import Base
from tenantry.db.embedded import EmbeddedPostgres
from tenantry.db.engine import CONNECT_SECONDS, DATABASE_NAME, migration_url, runtime_url
from tenantry.db.migrations import CURRENT_REVISION, IS_MIGRATED, VERSION_TABLE, head_revision, migrations_folder
from tenantry.db.roles import ROLE_QUERY, create_database, create_roles, refuse_unsafe

__all__ = ("create_tenantry", "embedded_server", "migration_commands", "migration_config", "provisioned", "upgrade")

Say = Callable[[str], None]


@contextmanager
def embedded_server(settings: Settings, say: Say) -> Iterator[None]:
    """Keep the embedded server up inside the block, with roles and database; nothing where another is configured."""
    if not settings.uses_embedded_database:
        yield
        return
    with EmbeddedPostgres(settings.home_path, say=say) as server:
        create_tenantry(server.url(user="postgres", database="postgres"), DATABASE_NAME)
        yield


@contextmanager
def provisioned(settings: Settings, say: Say) -> Iterator[None]:
    """As `embedded_server`, and at the last migration. A database of one's own is never migrated by itself."""
    with embedded_server(settings, say):
        if settings.uses_embedded_database:
            upgrade(migration_url(settings), say)
        else:
            refuse_unsafe_role(runtime_url(settings))
        yield


def refuse_unsafe_role(url: URL) -> None:
    """Before any worker starts, so that the reason is one sentence; every connection is checked again.

    A database that does not answer is no reason to refuse: the service waits for it, not ready.
    """
    conninfo = url.set(drivername="postgresql").render_as_string(hide_password=False)
    with suppress(psycopg.OperationalError), psycopg.connect(conninfo, connect_timeout=CONNECT_SECONDS) as connection:
        refuse_unsafe(connection.execute(ROLE_QUERY).fetchall())


def create_tenantry(admin_url: str, database: str, passwords: dict[str, str] | None = None) -> bool:
    """Create roles and database as an administrator; True when the database is new."""
    conninfo = admin_url.replace("postgresql+psycopg://", "postgresql://")
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(hashtext('tenantry bootstrap'))")
        create_roles(connection, passwords)
        return create_database(connection, database)


def migration_config(url: URL) -> SQLAlchemySyncConfig:
    """One linear history for all slices, run through advanced-alchemy as the migrator."""
    return SQLAlchemySyncConfig(
        connection_string=url.render_as_string(hide_password=False),
        metadata=Base.metadata,
        alembic_config=AlembicSyncConfig(
            script_location=str(migrations_folder()),
            script_config=str(migrations_folder() / "alembic.ini"),
            template_path=str(migrations_folder()),
            version_table_name=VERSION_TABLE,
            compare_type=True,
            render_as_batch=False,
        ),
    )


def migration_commands(url: URL) -> AlembicCommands:
    return AlembicCommands(migration_config(url))


def upgrade(url: URL, say: Say) -> None:
    """Bring the database to the head of this code, and its permissions to what the slices declare now."""
    head = head_revision()
    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            current = connection.scalar(CURRENT_REVISION) if connection.scalar(IS_MIGRATED) else None
    finally:
        engine.dispose()
    if current != head:
        say(f"Migrating the database to {head} …")
    migration_commands(url).upgrade()
