"""The database for a command, which is no service: as the runtime role, so that row-level security holds for it too."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from tenantry.config import ConfigurationError, Settings, variable
from tenantry.db.database import Database
from tenantry.db.engine import create_engine, runtime_url
from tenantry.db.migrations import check_head, head_revision
from tenantry.readiness import NotReady

__all__ = ("standalone_database",)


@asynccontextmanager
async def standalone_database(settings: Settings) -> AsyncIterator[Database]:
    """
    Raises:
        ConfigurationError: it does not answer, or is not at the last migration.
    """
    engine = create_engine(runtime_url(settings), settings)
    try:
        await _require_head(engine)
        yield Database(engine)
    finally:
        await engine.dispose()


async def _require_head(engine: AsyncEngine) -> None:
    try:
        await check_head(engine, head_revision())
    except NotReady as error:
        raise ConfigurationError(str(error)) from error
    except DBAPIError as error:
        raise ConfigurationError(f"{variable('database_url')}: no connection: {error.orig}") from error
