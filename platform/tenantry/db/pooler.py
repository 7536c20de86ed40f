"""Whether a pooler stands between this process and the server: then nothing is kept in connections.

PgBouncer and its kind greet with a number of their own, not with that of the server's process. They do so in session
mode as well, where keeping nothing is needless, but right.
"""

from collections.abc import Mapping
from typing import Any, LiteralString

from psycopg import AsyncConnection

from tenantry.db.lane.query import Query, Terms

__all__ = ("PROCESS_QUERY", "is_pooled", "terms_of")

PROCESS_QUERY: LiteralString = "SELECT pg_backend_pid()"


def is_pooled(connection: AsyncConnection[Any], process: int) -> bool:
    """`process` is the answer to `PROCESS_QUERY`."""
    return connection.info.backend_pid != process


async def terms_of(connection: AsyncConnection[Any], limits: Mapping[str, str], *, pooled: bool) -> Terms:
    """`pooled`: there is a pooler, also where it does not show. `limits` are settings and their values."""
    rows = await (await connection.execute(PROCESS_QUERY)).fetchall()
    if pooled or is_pooled(connection, *rows[0]):
        return Terms(prepares=False, preamble=[(Query(b"limits", _setting(limits, local=True)), ())])
    await connection.execute(_setting(limits, local=False))
    return Terms()


def _setting(limits: Mapping[str, str], *, local: bool) -> bytes:
    calls = (f"set_config('{name}', '{value}', {local})" for name, value in limits.items())
    return f"SELECT {', '.join(calls)}".encode()
