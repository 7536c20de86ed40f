"""What a request holds when its time is over: it is given back, and nobody else notices."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from random import Random
from typing import Any

import msgspec
import psycopg
import pytest
from litestar import Litestar
from sqlalchemy.pool import QueuePool

from features.projects.tests.factories import ProjectFactory
from tenantry.config import Settings
from tenantry.db.plugin import DatabasePlugin
from tenantry.ids import new_id
from tenantry.testing import TenantHandle, problem
from tenantry.testing.databases import DatabaseUrls, TestDatabases
from tests.faults.naps import SLACK, napping, plant_naps, timed
from tests.faults.planted import Served, planted_slice, serving

SECONDS = 0.4
OPEN_TRANSACTIONS = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND usename = 'tenantry_app' AND state LIKE 'idle in transaction%'
"""
PLUGIN = """
import asyncio
from uuid import UUID

from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from sqlalchemy import text

from features.projects.dtos import ProjectCreate, ProjectPatch
from features.projects.models import ProjectRow
from features.projects.permissions import WRITE
from features.projects.repository import ProjectRepository
from tenantry.db.session import UnitOfWork
from tenantry.feature import Feature
from tenantry.http.policy import allow, public

Projects = NamedDependency[ProjectRepository]
NOTHING_WRONG = public("planted")


class LateController(Controller):
    path = "/late"

    @post("/{project_id:uuid}/locked", opt=allow(WRITE))
    async def locked(self, project_id: FromPath[UUID], projects: Projects) -> None:
        await projects.entity(project_id)
        await asyncio.sleep(60)

    @post("/{project_id:uuid}/held", opt=allow(WRITE))
    async def held(self, project_id: FromPath[UUID], projects: Projects) -> None:
        await projects.alter(project_id, lambda project: project.change(ProjectPatch(name="Late")))
        await asyncio.sleep(60)

    @post("/written", opt=allow(WRITE))
    async def written(self, data: JSONBody[ProjectCreate], unit_of_work: NamedDependency[UnitOfWork]) -> None:
        projects = ProjectRepository(unit_of_work)
        await projects.add(ProjectRow.of(data))
        await unit_of_work.scalar(text("SELECT count(*) FROM projects"))
        await asyncio.sleep(60)

    @get("/stubborn", opt=NOTHING_WRONG)
    async def stubborn(self) -> str:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            raise RuntimeError("internals") from None
        return ""

    @get("/own", opt=NOTHING_WRONG)
    async def own(self) -> str:
        async with asyncio.timeout(0.01):
            await asyncio.sleep(60)
        return ""

    @get("/open", opt=NOTHING_WRONG)
    async def open(self) -> str:
        await asyncio.sleep(60)
        return ""


feature = Feature("late", controllers=[LateController], provides={"projects": ProjectRepository})
"""


@pytest.fixture(scope="module")
def urls(app: Litestar, databases: TestDatabases, worker_id: str) -> Iterator[DatabaseUrls]:
    with databases.clone(f"deadline_{worker_id}") as urls:
        plant_naps(urls)
        yield urls


@pytest.fixture(scope="module", params=[True, False], ids=["lane", "session"])
async def served(
    request: pytest.FixtureRequest, urls: DatabaseUrls, settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Served]:
    hurried = msgspec.structs.replace(
        settings,
        database_url=urls.runtime,
        database_fast_lane=request.param,
        database_pool_size=2,
        request_timeout_seconds=SECONDS,
    )
    with planted_slice(tmp_path_factory.mktemp("late"), "planted_late", PLUGIN) as features:
        async with serving(hurried, features=features) as served:
            yield served


@pytest.fixture
async def tenant(served: Served) -> TenantHandle:
    return await served.world.tenant()


def in_use(served: Served) -> int:
    pool = served.app.plugins.get(DatabasePlugin).engine.pool
    assert isinstance(pool, QueuePool)
    return pool.checkedout()


def open_transactions(urls: DatabaseUrls) -> int:
    with psycopg.connect(urls.conninfo) as connection:
        row = connection.execute(OPEN_TRANSACTIONS).fetchone()
    assert row is not None
    return int(row[0])


@pytest.mark.parametrize("how", ["locked", "held"])
async def test_row_is_free_again(served: Served, tenant: TenantHandle, urls: DatabaseUrls, how: str) -> None:
    """Of a handler that hangs with a row in its hands nothing is kept, and who comes next gets the row at once."""
    project = await tenant.has(ProjectFactory, name="Apollo")
    api = served.api.as_(tenant.member)
    late = await timed(api.post(f"/late/{project.id}/{how}"))
    held = (in_use(served), open_transactions(urls))
    before = await api.get(f"/projects/{project.id}")
    changed = await timed(api.patch(f"/projects/{project.id}", json={"description": "next"}))

    assert problem(503, "request_timeout") == late.answer
    assert late.seconds < SECONDS + SLACK
    assert (0, 0) == held
    assert "Apollo" == before.json()["name"]
    assert (200, "next") == (changed.status, changed.answer.json()["description"])


async def test_nothing_written_is_kept(served: Served, tenant: TenantHandle, urls: DatabaseUrls) -> None:
    """What was sent to the database before the deadline, and not committed, is not there afterwards."""
    api = served.api.as_(tenant.member)
    late = await api.post("/late/written", json={"name": "Apollo"})
    projects = await api.get("/projects")

    assert problem(503, "request_timeout") == late
    assert [] == projects.json()["items"]
    assert (0, 0) == (in_use(served), open_transactions(urls))


async def test_waiting_for_a_connection_counts(served: Served, tenant: TenantHandle) -> None:
    """Who gets no connection in time is told so as well, and the pool is whole again."""
    api = served.api.as_(tenant.member)
    projects = [await tenant.has(ProjectFactory, name=f"{n}") for n in range(6)]
    late = await asyncio.gather(*(timed(api.post(f"/late/{project.id}/locked")) for project in projects))
    held = in_use(served)
    after = await asyncio.gather(*(api.get(f"/projects/{project.id}") for project in projects))

    assert [problem(503, "request_timeout")] * 6 == [each.answer for each in late]
    assert max(each.seconds for each in late) < SECONDS + SLACK
    assert 0 == held
    assert [str(project.id) for project in projects] == [each.json()["id"] for each in after]


async def test_slow_body_counts(served: Served, tenant: TenantHandle) -> None:
    """A client that does not end its body is told so in time, and holds no connection meanwhile."""
    held = []

    async def body() -> AsyncIterator[bytes]:
        yield b'{"name": '
        await asyncio.sleep(SECONDS / 2)
        held.append(in_use(served))
        await asyncio.sleep(60)

    headers = {"content-type": "application/json"}
    late = await timed(served.api.as_(tenant.member).post("/projects", content=body(), headers=headers))

    assert problem(503, "request_timeout") == late.answer
    assert late.seconds < SECONDS + SLACK
    assert [0] == held


async def test_open_route_has_a_deadline(served: Served) -> None:
    """Also where nobody has to prove who they are."""
    late = await timed(served.api.get("/late/open"))

    assert problem(503, "request_timeout") == late.answer
    assert late.seconds < SECONDS + SLACK


@pytest.mark.parametrize("route", ["own", "stubborn"])
async def test_other_errors_are_themselves(served: Served, route: str) -> None:
    """A time limit of the handler's own, or what it raises when it is ended, is a fault and no deadline."""
    answer = await served.api.get(f"/late/{route}")

    assert problem(500, "internal_error") == answer


@pytest.mark.parametrize("fast", [True, False], ids=["lane", "session"])
async def test_deadline_while_the_database_writes(
    urls: DatabaseUrls, settings: Settings, tmp_path_factory: pytest.TempPathFactory, fast: bool
) -> None:
    """A write that is under way at the deadline answers 503, happens once or not at all, and delays nobody for long."""
    nap_id, folder = new_id(), tmp_path_factory.mktemp("writing")
    changed: dict[str, Any] = {"database_fast_lane": fast, "database_pool_size": 2, "request_timeout_seconds": 0.5}
    async with napping(settings, urls, folder, **changed) as served:
        api = served.api.as_((await served.world.tenant()).member)
        late = await timed(api.post(f"/naps/900/{nap_id}"))
        after = await timed(api.get("/naps/1"))

    assert problem(503, "request_timeout") == late.answer
    assert (200, [1]) == (after.status, after.answer.json())
    with psycopg.connect(urls.conninfo) as connection:
        assert connection.execute("SELECT count(*) FROM kept_naps WHERE id = %s", [nap_id]).fetchone() in [(0,), (1,)]


@pytest.mark.parametrize("fast", [True, False], ids=["lane", "session"])
async def test_answers_after_many_deadlines(
    urls: DatabaseUrls, settings: Settings, tmp_path_factory: pytest.TempPathFactory, fast: bool
) -> None:
    """Requests that end while the database works leave the others their own answers, and each is done in time."""
    changed: dict[str, Any] = {
        "database_fast_lane": fast,
        "database_pool_size": 4,
        "database_lane_connections": 4,
        "request_timeout_seconds": SECONDS,
    }
    random = Random(7)  # the same naps each time
    naps = [random.randint(1, 19) if number % 15 else random.randint(300, 700) for number in range(120)]
    async with napping(settings, urls, tmp_path_factory.mktemp("naps"), **changed) as served:
        api = served.api.as_((await served.world.tenant()).member)
        answers = []
        for number in range(0, len(naps), 12):
            some = naps[number : number + 12]
            answers += await asyncio.gather(*(timed(api.get(f"/naps/{nap}")) for nap in some))
        await asyncio.sleep(SECONDS)  # what is under way ends
        held = in_use(served)
        after = await asyncio.gather(*(api.get(f"/naps/{nap}") for nap in range(1, 11)))
    told = [(each.status, each.code or each.answer.json()) for each in answers]

    assert {"request_timeout"} == {what for status, what in told if status != 200}
    assert [what for status, what in told if status == 200] == [
        [nap] for nap, (status, _) in zip(naps, told, strict=True) if status == 200
    ]
    assert {200, 503} == {status for status, _ in told}
    assert max(each.seconds for each in answers) < SECONDS + SLACK
    assert 0 == held
    assert [[nap] for nap in range(1, 11)] == [each.json() for each in after]
