"""Which migration this code needs, and whether the database has it."""

from importlib.util import find_spec
from pathlib import Path

from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from tenantry.readiness import NotReady

__all__ = (
    "CURRENT_REVISION",
    "IS_MIGRATED",
    "VERSION_TABLE",
    "check_head",
    "head_revision",
    "migrations_folder",
)

VERSION_TABLE = "alembic_version"
CURRENT_REVISION = text("SELECT version_num FROM alembic_version")
IS_MIGRATED = text("SELECT to_regclass('alembic_version') IS NOT NULL")
UPGRADE_COMMAND = "tenantry database upgrade"


def head_revision() -> str:
    config = Config()
    config.set_main_option("script_location", str(migrations_folder()).replace("%", "%%"))
    head = ScriptDirectory.from_config(config).get_current_head()
    if head is None:
        raise RuntimeError(f"no migration found in {migrations_folder()}")
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


def migrations_folder() -> Path:
    spec = find_spec("migrations")
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError("the migrations folder is not installed")
    return Path(next(iter(spec.submodule_search_locations)))
