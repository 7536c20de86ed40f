"""Loads the database into the application: engine, unit of work per request, readiness."""

import structlog
from litestar import Litestar
from litestar.config.app import AppConfig
from litestar.di import Provide
from litestar.plugins import InitPlugin
from litestar.types import Scope
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from tenantry.config import Settings
from tenantry.db.database import Database
from tenantry.db.engine import create_engine, create_engine_apart, create_lane, runtime_url
from tenantry.db.migrations import check_head, head_revision
from tenantry.db.session import UnitOfWork
from tenantry.db.transaction import POOLED
from tenantry.readiness import NotReady, Readiness

__all__ = ("DatabasePlugin",)

_log = structlog.get_logger("tenantry.database")


class DatabasePlugin(InitPlugin):
    """The engine is made when the process starts serving, so that commands that need no database need none."""

    def __init__(self, settings: Settings, readiness: Readiness) -> None:
        self.settings = settings
        readiness.add("database", self._ping)
        readiness.add("migrations", self._check_head)

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        app_config.on_startup.insert(0, self._start)
        app_config.on_shutdown.append(self._stop)
        app_config.dependencies["unit_of_work"] = Provide(unit_of_work_of, sync_to_thread=False)
        app_config.dependencies["database"] = Provide(self._provide_database, sync_to_thread=False)
        return app_config

    async def _start(self, app: Litestar) -> None:
        url = runtime_url(self.settings)
        self.engine: AsyncEngine = create_engine(url, self.settings)
        self.apart: AsyncEngine = create_engine_apart(url, self.settings)
        self.lane = create_lane(url, self.settings) if self.settings.database_fast_lane else None
        if self.lane is not None:
            await self.lane.start()
        self.database = Database(self.engine, self.lane, apart=self.apart)
        self.head = head_revision()
        app.state.database = self.database
        try:
            await self._ping()
        except NotReady as error:
            reason = str(error.__cause__)
            _log.warning("database.unreachable", consequence="not ready until it answers", reason=reason)

    async def _stop(self) -> None:
        if self.lane is not None:
            await self.lane.stop()
        for engine in (self.engine, self.apart):
            await engine.dispose()

    async def _ping(self) -> str:
        try:
            async with self.engine.connect() as connection:
                version = await connection.scalar(text("SHOW server_version"))
                where = ", behind a pooler" if (await connection.get_raw_connection()).info[POOLED] else ""
        except DBAPIError as error:
            raise NotReady("no connection") from error.orig
        return f"PostgreSQL {str(version).split()[0]}{where}"

    async def _check_head(self) -> str:
        return await check_head(self.engine, self.head)

    def _provide_database(self) -> Database:
        return self.database


def unit_of_work_of(scope: Scope) -> UnitOfWork:
    unit_of_work = scope["state"]["unit_of_work"]
    assert isinstance(unit_of_work, UnitOfWork)
    return unit_of_work
