"""A fast lane without the service around it, and statements to send through it."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from psycopg import AsyncConnection, sql
from psycopg.conninfo import make_conninfo
from sqlalchemy import make_url

from tenantry.db.lane.fast_lane import FastLane
from tenantry.db.lane.query import Query, Step, Terms
from tenantry.db.pooler import terms_of

__all__ = ("asked", "backends", "conninfo_of", "kill_backends", "open_lane", "settle", "statement")

DIRECT = Terms()


def statement(text: str, *values: str | None) -> Step:
    """`text` has `$1` parameters, each with its type."""
    name = b"f_" + hashlib.sha256(text.encode()).hexdigest()[:24].encode()
    return Query(name, text.encode()), [None if value is None else value.encode() for value in values]


def asked(result: Any) -> tuple[str | None, ...]:
    """The texts of the first row of an answer; of no row there are none."""
    values = [result.get_value(0, column) for column in range(result.nfields if result.ntuples else 0)]
    return tuple(None if value is None else value.decode() for value in values)


@asynccontextmanager
async def open_lane(
    conninfo: str, name: str, *, connections: int = 2, queue: int = 200, terms: Terms | None = DIRECT
) -> AsyncIterator[FastLane]:
    """Its backends are called `name`. Without terms they are found out."""
    target = make_conninfo(conninfo, application_name=name, connect_timeout=5)

    async def connect() -> tuple[AsyncConnection[Any], Terms]:
        connection = await AsyncConnection.connect(target, autocommit=True, prepare_threshold=None)
        return connection, terms or await terms_of(connection, {"lock_timeout": "0"}, pooled=False)

    lane = FastLane(connect, connections=connections, queue=queue)
    await lane.start()
    try:
        yield lane
    finally:
        await lane.stop()


def backends(conninfo: str, name: str) -> set[int]:
    with psycopg.connect(conninfo) as connection:
        rows = connection.execute("SELECT pid FROM pg_stat_activity WHERE application_name = %s", [name])
        return {pid for (pid,) in rows}


async def kill_backends(conninfo: str, condition: str, *values: str) -> int:
    """Ends all that fulfil the condition, and the number of them."""
    kill = sql.SQL(
        "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid() AND {}"
    ).format(sql.SQL(condition))
    async with await AsyncConnection.connect(conninfo, autocommit=True) as connection:
        row = await (await connection.execute(kill, values)).fetchone()
    assert row is not None
    return int(row[0])


async def settle(expected: Any, found: Any, seconds: float = 5.0) -> Any:
    """What `found()` says once it is `expected`, or when the time is over."""
    for _ in range(int(seconds / 0.02)):
        if found() == expected:
            break
        await asyncio.sleep(0.02)
    return found()


def conninfo_of(url: str) -> str:
    """For psycopg."""
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
