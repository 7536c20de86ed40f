"""Migrations: Alembic through advanced-alchemy, run as the migrator, one linear history for all slices."""

from importlib.util import find_spec
from pathlib import Path

from advanced_alchemy.alembic.commands import AlembicCommands
from advanced_alchemy.config import SQLAlchemySyncConfig
from advanced_alchemy.config.sync import AlembicSyncConfig
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import URL, text
from sqlalchemy.ext.asyncio import AsyncEngine

from tenantry.db.base import Base
from tenantry.readiness import NotReady

__all__ = (
    "CURRENT_REVISION",
    "IS_MIGRATED",
    "VERSION_TABLE",
    "check_head",
    "head_revision",
    "migration_commands",
    "migration_config",
)

VERSION_TABLE = "alembic_version"
CURRENT_REVISION = text("SELECT version_num FROM alembic_version")
IS_MIGRATED = text("SELECT to_regclass('alembic_version') IS NOT NULL")
UPGRADE_COMMAND = "tenantry database upgrade"


def migration_config(url: URL) -> SQLAlchemySyncConfig:
    return SQLAlchemySyncConfig(
        connection_string=url.render_as_string(hide_password=False),
        metadata=Base.metadata,
        alembic_config=AlembicSyncConfig(
            script_location=str(_folder()),
            script_config=str(_folder() / "alembic.ini"),
            template_path=str(_folder()),
            version_table_name=VERSION_TABLE,
            compare_type=True,
            render_as_batch=False,
        ),
    )


def migration_commands(url: URL) -> AlembicCommands:
    return AlembicCommands(migration_config(url))


def head_revision() -> str:
    config = Config()
    config.set_main_option("script_location", str(_folder()).replace("%", "%%"))
    head = ScriptDirectory.from_config(config).get_current_head()
    if head is None:
        raise RuntimeError(f"no migration found in {_folder()}")
    return head


async def check_head(engine: AsyncEngine, head: str) -> str:
    """Readiness: the database is at this code's last migration."""
    async with engine.connect() as connection:
        migrated = await connection.scalar(IS_MIGRATED)
        current = await connection.scalar(CURRENT_REVISION) if migrated else None
    if current != head:
        raise NotReady(
            f"the database is at {current or 'no migration'}, this code needs {head}: run `{UPGRADE_COMMAND}`"
        )
    return f"at {head}"


def _folder() -> Path:
    spec = find_spec("migrations")
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError("the migrations folder is not installed")
    return Path(next(iter(spec.submodule_search_locations)))
