"""A pooler stands before the database and nobody has said so: nothing of a request may stay in a connection."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import psycopg
import pytest
from litestar import Litestar
from psycopg import AsyncConnection
from structlog.testing import capture_logs

from features.projects.tests.factories import ProjectFactory
from tenantry.config import Settings
from tenantry.db.plugin import DatabasePlugin
from tenantry.ids import new_id
from tenantry.testing import TenantHandle, problem
from tenantry.testing.databases import DatabaseUrls, TestDatabases
from tests.faults.lanes import asked, open_lane, statement
from tests.faults.naps import SLACK, napping, plant_naps, timed
from tests.faults.planted import Served, serving
from tests.faults.poolers import CLEAN, LEFT, PROGRAMS, SERVERS, Pooler, running
from tests.faults.wire import open_wire

LIMITS = """
SELECT current_setting('statement_timeout'), current_setting('lock_timeout'), count(*)::text FROM pg_prepared_statements
"""
BIND = "SELECT set_config('app.tenant_id', $1::text, true)"
ECHO = "SELECT $1::text, current_setting('app.tenant_id', true)"
ALL_IS_WELL = [201, 200, 200, 200, 200, 404, 404, 403, 409, 401]
"""What a visit is answered."""


@pytest.fixture(scope="module")
def urls(app: Litestar, databases: TestDatabases, worker_id: str) -> Iterator[DatabaseUrls]:
    with databases.clone(f"pooler_{worker_id}") as urls:
        plant_naps(urls)
        yield urls


@pytest.fixture(scope="module", params=PROGRAMS)
def pooler(request: pytest.FixtureRequest, urls: DatabaseUrls) -> Iterator[Pooler]:
    with running(request.param, urls) as pooler:
        yield pooler


@pytest.fixture(params=["fast", "session"])
async def served(
    request: pytest.FixtureRequest, urls: DatabaseUrls, pooler: Pooler, settings: Settings, tmp_path: Path
) -> AsyncIterator[Served]:
    """More connections to the pooler than it has to the server."""
    behind: dict[str, Any] = {
        "database_url": pooler.url,
        "database_fast_lane": request.param == "fast",
        "database_lane_connections": 4,
        "database_pool_size": 4,
        "database_timeout_seconds": 1.5,
    }
    async with napping(settings, urls, tmp_path, **behind) as served:
        yield served


async def visit(served: Served, tenant: TenantHandle, foreign: str, number: int) -> tuple[list[int], set[str]]:
    """The statuses of everything that one does with a project, and whose projects were seen."""
    api = served.api.as_(tenant.member)
    created = await api.post("/projects", json={"name": f"{tenant.slug} {number}"})
    path = f"/projects/{created.json().get('id')}"
    answers = [
        created,
        seen := await api.get(path),
        listed := await api.get("/projects?limit=100&include_total=true"),
        await api.patch(path, json={"description": "d"}),
        await api.post(f"{path}/archive"),
        await api.get(f"/projects/{foreign}"),
        await api.delete(f"/projects/{foreign}"),
        await served.api.as_(tenant.viewer).post("/projects", json={"name": "x"}),
        await api.post("/projects", json={"name": f"{tenant.slug} {number}"}),
        await served.api.get("/projects"),
    ]
    names = [item["name"] for item in (seen.json(), *listed.json().get("items", ())) if "name" in item]
    return [each.status_code for each in answers], {name.split()[0] for name in names}


async def test_several_tenants_at_once(served: Served, pooler: Pooler, request: pytest.FixtureRequest) -> None:
    """Each sees its own and nothing else, on the lane that was asked for, and no connection keeps anything of it."""
    tenants = [await served.world.tenant(f"t{n}") for n in range(4)] * 12
    foreign = str((await (await served.world.tenant()).has(ProjectFactory)).id)
    with capture_logs() as logs:
        visits = await asyncio.gather(*(visit(served, tenant, foreign, n) for n, tenant in enumerate(tenants)))
    lanes = Counter(log.get("lane") for log in logs if log["event"] == "request" and log["status"] < 400)

    assert [ALL_IS_WELL] * 48 == [statuses for statuses, _ in visits]
    assert [{tenant.slug} for tenant in tenants] == [owners for _, owners in visits]
    assert [CLEAN] * SERVERS == await pooler.left()
    # Of every five, one asks for a total, which any number of rows may have to be read for.
    assert lanes[request.node.callspec.params["served"]] > 0.7 * lanes.total(), lanes


async def test_limits_hold(served: Served, pooler: Pooler) -> None:
    """A statement is given as long as the lane, then the session allows; the limits stay in no connection."""
    api = served.api.as_((await served.world.tenant()).member)
    slow = await timed(api.get("/naps/1200"))
    slower = await timed(api.get("/naps/5000"))

    assert (200, [1200]) == (slow.status, slow.answer.json())
    assert problem(503, "statement_timeout") == slower.answer
    assert slower.seconds < 1 + 1.5 + SLACK
    assert [CLEAN] * SERVERS == await pooler.left()


async def test_locked_row_holds_up_nobody_else(served: Served, urls: DatabaseUrls) -> None:
    """Who writes a row that somebody else has locked waits for it, and the others do not wait with them."""
    tenant = await served.world.tenant()
    project = await tenant.has(ProjectFactory)
    api = served.api.as_(tenant.member)
    async with await AsyncConnection.connect(urls.conninfo) as other:
        await other.execute("SELECT 1 FROM projects WHERE id = %s FOR UPDATE", [project.id])
        write = asyncio.create_task(timed(api.patch(f"/projects/{project.id}", json={"name": "Gemini"})))
        await asyncio.sleep(0.3)
        others = await asyncio.gather(*(timed(api.get("/projects?limit=1")) for _ in range(10)))
        waited = not write.done()
    written = await write

    assert [200] * 10 == [each.status for each in others]
    assert max(each.seconds for each in others) < SLACK
    assert (True, 200, "Gemini") == (waited, written.status, written.answer.json()["name"])


@pytest.mark.parametrize("served", ["fast"], indirect=True)
async def test_alter_table(served: Served, pooler: Pooler, urls: DatabaseUrls) -> None:
    """Statements are prepared where the pooler manages that; what a migration makes stale stays on the lane."""
    tenant = await served.world.tenant()
    path = f"/projects/{(await tenant.has(ProjectFactory)).id}"
    api = served.api.as_(tenant.member)
    lanes: Counter[Any] = Counter()
    for kind in ("timestamptz(0)", "timestamptz(1)", "timestamptz(2)", "timestamptz"):
        with psycopg.connect(urls.conninfo) as connection:
            connection.execute(f"ALTER TABLE projects ALTER COLUMN archived_at TYPE {kind}".encode())
        first = await asyncio.gather(*(api.get(path) for _ in range(40)))
        with capture_logs() as logs:
            second = await asyncio.gather(*(api.get(path) for _ in range(40)))
        assert {200} == {answer.status_code for answer in (*first, *second)}
        lanes.update(log["lane"] for log in logs if log["event"] == "request")
    prepared = asked((await served.lane.run([statement(LIMITS)], writes=False))[0])[2]

    assert {"fast": 160} == lanes
    assert pooler.manages_statements == (prepared != "0")


async def test_group_in_pieces(pooler: Pooler) -> None:
    """All of a group meets one connection to the server, and nothing of another group, in whatever pieces it comes.

    PgBouncer 1.18 gives a server away once a group is answered, also where a part of the next has come already: the
    binding of one tenant was in force for the statements of another, and answers went to whoever did not ask.
    """
    sent = [str(UUID(int=number)) for number in range(400)]
    async with (
        open_wire(pooler.conninfo(), 7) as wire,
        open_lane(wire.conninfo, "pieces", connections=6, terms=None) as lane,
    ):
        wire.largest_piece, wire.pause = 300, 0.001
        echoes = [lane.run([statement(BIND, each), statement(ECHO, each)], writes=True) for each in sent]
        async with asyncio.timeout(60):
            answers = await asyncio.gather(*echoes, return_exceptions=True)
        wire.repair()
    got = [tuple(map(asked, answer)) if isinstance(answer, list) else repr(answer) for answer in answers]

    assert [((each,), (each, each)) for each in sent] == got


async def test_restart_of_the_pooler(served: Served, pooler: Pooler) -> None:
    """While it is away the answer is 503; once it is back, so is the service."""
    api = served.api.as_((await served.world.tenant()).member)
    before = await asyncio.gather(*(api.get("/projects?limit=1") for _ in range(20)))
    pooler.stop()
    away = await asyncio.gather(*(api.get("/projects?limit=1") for _ in range(20)))
    pooler.start()
    for _ in range(100):
        if (back := await api.get("/projects?limit=1")).is_success:
            break
        await asyncio.sleep(0.05)
    after = await asyncio.gather(*(api.get("/projects?limit=1") for _ in range(20)))

    assert [200] * 20 == [each.status_code for each in before]
    assert [problem(503, "database_unavailable")] * 20 == away
    assert [200] * 21 == [each.status_code for each in (back, *after)]


@pytest.mark.parametrize("program", PROGRAMS)
async def test_session_mode(program: str, urls: DatabaseUrls, settings: Settings, tmp_path: Path) -> None:
    """Where a connection has a server of its own the service works as well, on its fast lane, and its limits hold."""
    with running(program, urls, "session") as pooler:
        behind: dict[str, Any] = {"database_url": pooler.url, "database_timeout_seconds": 1.5}
        async with napping(settings, urls, tmp_path, **behind) as served:
            tenants = [await served.world.tenant(f"s{n}") for n in range(2)] * 6
            foreign = str((await (await served.world.tenant()).has(ProjectFactory)).id)
            with capture_logs() as logs:
                visits = await asyncio.gather(*(visit(served, tenant, foreign, n) for n, tenant in enumerate(tenants)))
            lanes = Counter(log.get("lane") for log in logs if log["event"] == "request" and log["status"] < 400)
            slow = await timed(served.api.as_(tenants[0].member).get("/naps/5000"))

    assert [ALL_IS_WELL] * 12 == [statuses for statuses, _ in visits]
    assert [{tenant.slug} for tenant in tenants] == [owners for _, owners in visits]
    assert lanes["fast"] > 0.7 * lanes.total(), lanes
    assert problem(503, "statement_timeout") == slow.answer
    assert slow.seconds < 1 + 1.5 + SLACK


@pytest.mark.parametrize("program", PROGRAMS)
async def test_readiness_says_so(
    program: str, urls: DatabaseUrls, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    """Operators see the pooler; in statement mode, without transactions, a process is not ready, and it says why."""
    answers = []
    for mode in ("session", "transaction", "statement"):
        with running(program, urls, mode) as pooler:
            async with serving(msgspec.structs.replace(settings, database_url=pooler.url)) as served:
                answers.append(await served.api.get("//health/ready"))

    assert [200, 200, 503] == [answer.status_code for answer in answers]
    assert [True, True, False] == ["behind a pooler" in answer.text for answer in answers]
    assert "reason='transaction blocks not allowed in statement pooling mode'" in capsys.readouterr().out


async def test_pooler_that_does_not_show(urls: DatabaseUrls, settings: Settings, tmp_path: Path) -> None:
    """Who has to be told of it by TENANTRY_DATABASE_TRANSACTION_POOLER keeps nothing in connections either."""
    async with napping(settings, urls, tmp_path, database_transaction_pooler=True) as served:
        tenant = await served.world.tenant()
        visits = [await visit(served, tenant, str(new_id()), n) for n in range(10)]
        on_the_lane = await served.lane.run([statement(LIMITS)], writes=True)
        async with served.app.plugins.get(DatabasePlugin).engine.connect() as session:
            driver: Any = (await session.get_raw_connection()).driver_connection
            left = await (await driver.execute(LEFT)).fetchone()

    assert [ALL_IS_WELL] * 10 == [statuses for statuses, _ in visits]
    assert ("1s", "100ms", "0") == asked(on_the_lane[0])
    assert CLEAN == left[1:]


async def test_binding_that_stays_is_found(pooler: Pooler) -> None:
    """The tests above can fail: what is bound for longer than a transaction is seen in a later one."""
    async with await AsyncConnection.connect(pooler.conninfo(), prepare_threshold=None) as connection:
        await connection.execute("SELECT set_config('app.tenant_id', 'acme', false)")
    found = await pooler.left()
    pooler.command("RECONNECT")

    assert 1 == [row[0] for row in found].count("acme")
    assert [CLEAN] * SERVERS == await pooler.left()
