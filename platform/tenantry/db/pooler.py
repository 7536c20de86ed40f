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
OWN_NAME_QUERY: LiteralString = "SELECT name FROM pg_prepared_statements WHERE statement = current_query()"


def is_pooled(connection: AsyncConnection[Any], process: int) -> bool:
    """`process` is the answer to `PROCESS_QUERY`."""
    return connection.info.backend_pid != process


async def terms_of(connection: AsyncConnection[Any], limits: Mapping[str, str], *, pooled: bool) -> Terms:
    """`pooled`: there is a pooler, also where it does not show. `limits` are settings and their values."""
    rows = await (await connection.execute(PROCESS_QUERY)).fetchall()
    if pooled or is_pooled(connection, *rows[0]):
        prepares = await _manages_statements(connection)
        # PgBouncer 1.18 may give a server away between two groups, also where a part of the second has come already.
        return Terms(prepares, one_at_a_time=True, preamble=[(Query(b"limits", _setting(limits, local=True)), ())])
    await connection.execute(_setting(limits, local=False))
    return Terms()


async def _manages_statements(connection: AsyncConnection[Any]) -> bool:
    """Whether it is a PgBouncer that knows what is prepared where: then it prepares under names of its own."""
    # This one is prepared, and closed again on the same connection of the server.
    connection.prepare_threshold, connection.prepared_max = 0, 0
    async with connection.transaction():
        names = await (await connection.execute(OWN_NAME_QUERY)).fetchall()
    connection.prepare_threshold = None
    return bool(names) and all(name.startswith("PGBOUNCER_") for (name,) in names)


def _setting(limits: Mapping[str, str], *, local: bool) -> bytes:
    calls = (f"set_config('{name}', '{value}', {local})" for name, value in limits.items())
    return f"SELECT {', '.join(calls)}".encode()
