"""The engine: psycopg 3, a bounded pool, and no connection whose role could look past row-level security."""

from math import ceil
from typing import Any

from psycopg import AsyncConnection
from sqlalchemy import URL, event, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from tenantry.config import ConfigurationError, Settings, variable
from tenantry.db.lane.fast_lane import FastLane
from tenantry.db.lane.query import Terms
from tenantry.db.pooler import PROCESS_QUERY, is_pooled, terms_of
from tenantry.db.roles import MIGRATOR_ROLE, ROLE_QUERY, RUNTIME_ROLE, UnsafeRole, refuse_unsafe
from tenantry.db.transaction import POOLED, let_begin

__all__ = (
    "DATABASE_NAME",
    "create_engine",
    "create_engine_apart",
    "create_lane",
    "migration_url",
    "psycopg_url",
    "runtime_url",
)

DATABASE_NAME = "tenantry"
POOL_WAIT_SECONDS = 5
CONNECT_SECONDS = 5
# Who waits for a slow statement or a locked row holds up all groups behind it; the session has the patience.
LANE_LIMITS = {"statement_timeout": "1000", "lock_timeout": "100"}  # milliseconds


def runtime_url(settings: Settings) -> URL:
    if settings.uses_embedded_database:
        return _embedded_url(settings, RUNTIME_ROLE)
    if settings.database_url is None:
        raise ConfigurationError(
            f"{variable('database_url')}: needed beside {variable('migration_database_url')} to serve"
        )
    return psycopg_url(settings.database_url, "database_url")


def migration_url(settings: Settings) -> URL:
    if settings.uses_embedded_database:
        return _embedded_url(settings, MIGRATOR_ROLE)
    if settings.migration_database_url is None:
        raise ConfigurationError(
            f"{variable('migration_database_url')}: needed to migrate a database other than the embedded one"
        )
    return psycopg_url(settings.migration_database_url, "migration_database_url")


def psycopg_url(text: str, field: str) -> URL:
    try:
        url = make_url(text)
    except ArgumentError as error:
        raise ConfigurationError(f"{variable(field)}: not a database address") from error
    if url.get_backend_name() not in ("postgresql", "postgres"):
        raise ConfigurationError(f"{variable(field)}: must begin with postgresql://")
    return url.set(drivername="postgresql+psycopg")


def create_engine(url: URL, settings: Settings, *, connections: int | None = None) -> AsyncEngine:
    engine = create_async_engine(
        url,
        pool_size=connections or settings.database_pool_size,
        max_overflow=0,
        pool_timeout=POOL_WAIT_SECONDS,
        pool_use_lifo=True,
        # Errors are logged, and parameters are people's data.
        hide_parameters=True,
        connect_args={
            "connect_timeout": CONNECT_SECONDS,
            # Else psycopg would send a BEGIN of its own, alone.
            "autocommit": True,
            "prepare_threshold": None,
        },
    )
    timeout = f"{int(settings.database_timeout_seconds * 1000)}"

    @event.listens_for(engine.sync_engine, "connect")
    def _prepare(connection: Any, record: Any) -> None:
        cursor = connection.cursor()
        cursor.execute(ROLE_QUERY)
        try:
            refuse_unsafe(cursor.fetchall())
        except UnsafeRole:
            connection.close()
            raise
        cursor.execute(PROCESS_QUERY)
        shows = is_pooled(connection.driver_connection, cursor.fetchone()[0])
        record.info[POOLED] = pooled = shows or settings.database_transaction_pooler
        if not pooled:
            cursor.execute(f"SET statement_timeout = {timeout}")
        cursor.close()
        connection.commit()

    let_begin(engine, f"SET LOCAL statement_timeout = {timeout}; ")
    return engine


def create_lane(url: URL, settings: Settings) -> FastLane:
    """Connections in libpq's pipeline mode, with the same role check as those of the engine."""
    parameters = url.set(drivername="postgresql").translate_connect_args(username="user", database="dbname")
    parameters |= {key: value if isinstance(value, str) else ",".join(value) for key, value in url.query.items()}
    parameters |= {"connect_timeout": CONNECT_SECONDS, "client_encoding": "utf8"}

    async def connect() -> tuple[AsyncConnection[Any], Terms]:
        connection = await AsyncConnection.connect(**parameters, autocommit=True, prepare_threshold=None)
        try:
            refuse_unsafe(await (await connection.execute(ROLE_QUERY)).fetchall())
            return connection, await terms_of(connection, LANE_LIMITS, pooled=settings.database_transaction_pooler)
        except BaseException:
            await connection.close()
            raise

    return FastLane(connect, connections=settings.database_lane_connections, queue=settings.database_lane_queue)


def create_engine_apart(url: URL, settings: Settings) -> AsyncEngine:
    """For transactions that run while a request holds its own: half as many, since few requests have any."""
    return create_engine(url, settings, connections=ceil(settings.database_pool_size / 2))


def _embedded_url(settings: Settings, role: str) -> URL:
    # The embedded server is a development extra that the production image does not carry.
    from tenantry.db.embedded import EmbeddedPostgres

    return make_url(EmbeddedPostgres(settings.home_path).url(user=role, database=DATABASE_NAME))
