"""Migrations while the service works: whoever is held up by one waits or is told so, and nobody gets an error."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import psycopg
import pytest
from litestar import Litestar
from psycopg import AsyncConnection

from tenantry.config import Settings
from tenantry.testing import Api, TenantHandle, problem
from tenantry.testing.databases import DatabaseUrls, TestDatabases
from tests.faults.lanes import settle
from tests.faults.naps import SLACK, timed
from tests.faults.planted import Served, planted_slice, serving

TABLE = """
CREATE TABLE readings (id int PRIMARY KEY, value varchar(20) NOT NULL, note text);
INSERT INTO readings VALUES (1, '7', 'n');
GRANT SELECT, INSERT, UPDATE ON readings TO tenantry_app;
"""
# It selects the value as whatever the column is, and writes what every such column takes.
PLUGIN = """
from litestar import Controller, Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from sqlalchemy import Column, Integer, MetaData, Table, Text, bindparam, select, text, update
from sqlalchemy.types import NullType

from features.projects.permissions import READ, WRITE
from tenantry.db.session import UnitOfWork
from tenantry.feature import Feature
from tenantry.http.policy import allow

Work = NamedDependency[UnitOfWork]
READINGS = Table("readings", MetaData(), Column("id", Integer, primary_key=True), Column("value", NullType),
                 Column("note", Text))
FAST = select(READINGS.c.value).where(READINGS.c.id == bindparam("id"))
# What the fast lane does not take: it has no bound, and it is SQL as text.
SLOW = text("SELECT * FROM readings")
WRITE_NOTE = (
    update(READINGS).where(READINGS.c.id == bindparam("of", type_=Integer)).values(note=bindparam("new", type_=Text))
)
# Its parameter is whatever the column was when it was prepared.
SET_VALUE = text("UPDATE readings SET value = :value")


class ReadingController(Controller):
    path = "/readings"

    @get("/fast", opt=allow(READ))
    async def fast(self, unit_of_work: Work) -> list[str]:
        return [str(value) for value in await unit_of_work.structs(FAST, lambda value: value, {"id": 1})]

    @get("/slow", opt=allow(READ))
    async def slow(self, unit_of_work: Work) -> list[str]:
        return [str(row.value) for row in await unit_of_work.rows(SLOW)]

    @get("/second", opt=allow(READ))
    async def second(self, unit_of_work: Work) -> list[str]:
        await unit_of_work.execute(SET_VALUE, {"value": "7"})
        return [str(row.value) for row in await unit_of_work.rows(SLOW)]

    @get("/once", opt=allow(READ))
    async def once(self, request: Request, unit_of_work: Work) -> list[str]:
        # It could do something elsewhere, so it is not done again.
        await unit_of_work.scalar(text("SELECT 1"))
        return [str(row.value) for row in await unit_of_work.rows(SLOW)]

    @get("/stubborn", opt=allow(READ))
    async def stubborn(self, unit_of_work: Work) -> list[str]:
        try:
            return [str(row.value) for row in await unit_of_work.rows(SLOW)]
        except Exception:
            return [str(row.value) for row in await unit_of_work.rows(SLOW)]

    @get("/wrong", opt=allow(READ))
    async def wrong(self, unit_of_work: Work) -> None:
        await unit_of_work.rows(text("SELECT nonsense FROM readings"))

    @post("/{note:str}", opt=allow(WRITE))
    async def write(self, note: FromPath[str], unit_of_work: Work) -> None:
        await unit_of_work.write(WRITE_NOTE, {"of": 1, "new": note})


feature = Feature("readings", controllers=[ReadingController])
"""
# Each changes what a prepared `SELECT value` or `SELECT *` returns: its type, or which columns there are.
CHANGES = [
    "ALTER TABLE readings ALTER COLUMN value TYPE int USING value::int",
    "ALTER TABLE readings ADD COLUMN more int DEFAULT 3",
    "ALTER TABLE readings ALTER COLUMN value TYPE text",
    "ALTER TABLE readings DROP COLUMN more",
    "ALTER TABLE readings ALTER COLUMN value TYPE bigint USING value::bigint",
    "ALTER TABLE readings ADD CONSTRAINT positive CHECK (value > 0)",
    "CREATE INDEX readings_value ON readings (value)",
    "DROP INDEX readings_value",
    "ALTER TABLE readings DROP CONSTRAINT positive",
    "ALTER TABLE readings ALTER COLUMN value TYPE varchar(20)",
]


@pytest.fixture(scope="module")
def urls(app: Litestar, databases: TestDatabases, worker_id: str) -> Iterator[DatabaseUrls]:
    with databases.clone(f"alter_{worker_id}") as urls:
        with psycopg.connect(urls.conninfo) as connection:
            connection.execute(TABLE)
        yield urls


lanes = pytest.mark.parametrize("served", [True, False], ids=["lane", "session"], indirect=True)


@pytest.fixture
async def served(
    request: pytest.FixtureRequest, urls: DatabaseUrls, settings: Settings, tmp_path: Path
) -> AsyncIterator[Served]:
    own = msgspec.structs.replace(
        settings, database_url=urls.runtime, database_fast_lane=request.param, database_timeout_seconds=1.5
    )
    with planted_slice(tmp_path, "planted_readings", PLUGIN) as features:
        async with serving(own, features=features) as served:
            yield served


@pytest.fixture
async def tenant(served: Served) -> TenantHandle:
    return await served.world.tenant()


@asynccontextmanager
async def working(api: Api, requests: list[tuple[str, str]], clients: int = 6) -> AsyncIterator[Counter[str]]:
    """Inside the block so many clients make these requests over and over; it counts what they were told."""
    told: Counter[str] = Counter()
    goes_on = True

    async def work() -> None:
        while goes_on:
            for method, path in requests:
                answer = await getattr(api, method)(path)
                told[f"{answer.status_code}" if answer.is_success else answer.json()["code"]] += 1

    tasks = [asyncio.create_task(work()) for _ in range(clients)]
    try:
        yield told
    finally:
        goes_on = False
        await asyncio.gather(*tasks)


async def migrate_under_load(requests: list[tuple[str, str]], api: Api, urls: DatabaseUrls) -> Counter[str]:
    async with (
        await AsyncConnection.connect(urls.conninfo, autocommit=True) as migrations,
        working(api, requests) as told,
    ):
        for change in CHANGES:
            # So often that also psycopg prepares it on every connection of the session.
            enough = told.total() + 120
            assert await settle(True, lambda enough=enough: told.total() >= enough, 20)
            await migrations.execute(change)
    return told


@lanes
async def test_results_change_under_load(served: Served, tenant: TenantHandle, urls: DatabaseUrls) -> None:
    """A prepared statement whose result would have another type is prepared anew; nobody sees an error."""
    requests = [("get", "/readings/fast"), ("post", "/readings/x")]
    told = await migrate_under_load(requests, served.api.as_(tenant.member), urls)

    assert {"200", "201"} == told.keys(), told


@pytest.mark.parametrize("served", [True], ids=["lane"], indirect=True)
async def test_columns_change_under_load(served: Served, tenant: TenantHandle, urls: DatabaseUrls) -> None:
    """Nor does who reads all columns there are, which goes through the session."""
    told = await migrate_under_load([("get", "/readings/slow")], served.api.as_(tenant.member), urls)

    assert {"200"} == told.keys(), told


@pytest.mark.parametrize("path", ["second", "once", "stubborn"])
@pytest.mark.parametrize("served", [False], ids=["session"], indirect=True)
async def test_changes_in_any_place(served: Served, tenant: TenantHandle, urls: DatabaseUrls, path: str) -> None:
    """Nor does who meets it after another statement, cannot be repeated, or catches what must be repeated."""
    told = await migrate_under_load([("get", f"/readings/{path}")], served.api.as_(tenant.viewer), urls)

    assert {"200"} == told.keys(), told


@lanes
async def test_wrong_statement_is_an_error(served: Served, tenant: TenantHandle) -> None:
    """What is wrong also when nothing is prepared is a fault of ours, and says so."""
    answer = await served.api.as_(tenant.viewer).get("/readings/wrong")

    assert problem(500, "internal_error") == answer


@lanes
async def test_result_is_that_of_the_new_type(served: Served, tenant: TenantHandle, urls: DatabaseUrls) -> None:
    """After a change of type each connection reads the value as what it is now, not as what it was."""
    api = served.api.as_(tenant.viewer)
    found = []
    with psycopg.connect(urls.conninfo, autocommit=True) as migrations:
        for change in ("TYPE int USING value::int * 11", "TYPE varchar(20) USING (value / 11)::text"):
            await asyncio.gather(*(api.get("/readings/fast") for _ in range(30)))
            migrations.execute(f"ALTER TABLE readings ALTER COLUMN value {change}")
            answers = await asyncio.gather(*(api.get("/readings/fast") for _ in range(30)))
            found.append({(answer.status_code, answer.text) for answer in answers})

    assert [{(200, '["77"]')}, {(200, '["7"]')}] == found


@lanes
async def test_exclusive_lock_is_waited_for(served: Served, tenant: TenantHandle, urls: DatabaseUrls) -> None:
    """While a migration holds a table for less than the limit, requests wait for it and succeed."""
    api = served.api.as_(tenant.member)
    async with await AsyncConnection.connect(urls.conninfo) as migrations:
        await migrations.execute("LOCK TABLE readings IN ACCESS EXCLUSIVE MODE")
        requests = [api.get("/readings/fast"), api.post("/readings/y"), api.get("/readings/slow")]
        waiting = [asyncio.create_task(timed(request)) for request in requests]
        await asyncio.sleep(0.6)
        early = [task.done() for task in waiting]
    answers = await asyncio.gather(*waiting)

    assert [False] * 3 == early
    assert [200, 201, 200] == [answer.status for answer in answers]


@lanes
async def test_exclusive_lock_beyond_the_limit(served: Served, tenant: TenantHandle, urls: DatabaseUrls) -> None:
    """Held for longer, it is a 503 after the limit; who does not need the table is served, and all are afterwards."""
    api = served.api.as_(tenant.member)
    async with await AsyncConnection.connect(urls.conninfo) as migrations:
        await migrations.execute("LOCK TABLE readings IN ACCESS EXCLUSIVE MODE")
        held_up = [asyncio.create_task(timed(each)) for each in (api.get("/readings/fast"), api.post("/readings/z"))]
        await asyncio.sleep(0.3)
        others = await asyncio.gather(*(timed(api.get("/projects?limit=1")) for _ in range(10)))
        refused = await asyncio.gather(*held_up)
        note = await (await migrations.execute("SELECT note FROM readings")).fetchone()
    after = await asyncio.gather(*(api.get("/readings/fast") for _ in range(10)))

    assert [(503, "statement_timeout")] * 2 == [(each.status, each.code) for each in refused]
    assert max(each.seconds for each in refused) < 1.5 + SLACK
    assert [200] * 10 == [each.status for each in others]
    assert max(each.seconds for each in others) < SLACK
    assert note != ("z",)
    assert [200] * 10 == [each.status_code for each in after]
