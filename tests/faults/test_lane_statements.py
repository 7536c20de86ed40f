"""Prepared statements: their number is bounded, and one that has gone stale is nobody's error."""

import asyncio
from collections.abc import Iterator

import psycopg
import pytest

from tenantry.db.lane.fast_lane import LaneClosed
from tenantry.testing.databases import DatabaseUrls, TestDatabases
from tests.faults.lanes import asked, conninfo_of, open_lane, statement


@pytest.fixture(scope="module")
def urls(databases: TestDatabases, worker_id: str) -> Iterator[DatabaseUrls]:
    with databases.clone(f"lane_statements_{worker_id}") as urls:
        yield urls


async def test_statements_do_not_pile_up(urls: DatabaseUrls) -> None:
    """However many shapes there are, and however often one cannot be prepared, the server keeps a bounded number."""
    count = statement("SELECT count(*)::text FROM pg_prepared_statements")
    counts = []
    async with open_lane(conninfo_of(urls.runtime), "shapes", connections=1) as lane:
        for number in range(1200):
            shape = statement(f"SELECT '{number}'")
            assert (f"{number}",) == asked((await lane.run([shape], writes=False))[0])
            if number % 3 == 0:
                with pytest.raises(psycopg.errors.UndefinedTable):
                    await lane.run([statement("SELECT * FROM nothing"), shape], writes=False)
            if number % 100 == 99:
                counts.append(int(asked((await lane.run([count], writes=False))[0])[0] or 0))

    assert max(counts) <= 502
    assert counts[-1] > 490


async def test_stale_on_every_connection(urls: DatabaseUrls) -> None:
    """A plan that is stale on more connections than there are attempts is prepared anew, or left to the session."""
    with psycopg.connect(urls.conninfo) as connection:
        connection.execute("CREATE TABLE shifting (value int); INSERT INTO shifting VALUES (1)")
        connection.execute("GRANT SELECT ON shifting TO tenantry_app")
    read = [statement("SELECT value, pg_sleep(0.01)::text FROM shifting")]
    async with open_lane(conninfo_of(urls.runtime), "stale", connections=8) as lane:
        await asyncio.gather(*(lane.run(read, writes=True) for _ in range(64)))
        with psycopg.connect(urls.conninfo) as connection:
            connection.execute("ALTER TABLE shifting ALTER COLUMN value TYPE text")
        ends = await asyncio.gather(*(lane.run(read, writes=True) for _ in range(64)), return_exceptions=True)

    assert set() == {type(end) for end in ends} - {list, LaneClosed}
    assert {("1", "")} == {asked(end[0]) for end in ends if isinstance(end, list)}
