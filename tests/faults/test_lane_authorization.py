"""A refusal of the database is final: whoever catches it, or never heard it, answers nothing and changes nothing."""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable
from typing import Any

import msgspec
import pytest
from litestar import Litestar
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from features.projects.repository import ProjectRepository
from tenantry.config import Settings
from tenantry.db import engine as engines
from tenantry.db.database import Database
from tenantry.db.denials import PoolExhausted
from tenantry.db.engine import create_engine, create_lane, runtime_url
from tenantry.db.lane.fast_lane import DatabaseBusy
from tenantry.db.session import UnitOfWork
from tenantry.ids import new_id
from tenantry.security.principal import Principal
from tenantry.testing import TenantHandle, problem
from tests.faults.lanes import statement
from tests.faults.planted import Served, planted_slice, serving
from tests.isolation.principals import Stage

PACKAGE = "planted_refusals"
PLUGIN = """
from uuid import UUID

from litestar import Controller, Response, get, post
from litestar.background_tasks import BackgroundTask
from litestar.di import NamedDependency
from litestar.params import FromPath
from sqlalchemy import Column, MetaData, Table, Uuid, select

from features.projects.permissions import READ, WRITE
from features.projects.repository import ProjectRepository
from tenantry.errors import AppError, NotFound
from tenantry.feature import Feature
from tenantry.http.policy import allow

Projects = NamedDependency[ProjectRepository]
NOBODY = UUID(int=0)
ERRORS = {"missing": NotFound, "broken": RuntimeError}
RUNS = []
NOTHING = Table("nothing_of_that_name", MetaData(), Column("id", Uuid, primary_key=True))


async def hook(request):
    RUNS.append("before_request")


class RefusalController(Controller):
    path = "/refusals"

    @post("/swallowed/{ending:str}", opt=allow(WRITE))
    async def swallowed(self, ending: FromPath[str], projects: Projects) -> str:
        try:
            await projects.get(NOBODY)
        except AppError:
            if ending in ERRORS:
                raise ERRORS[ending] from None
        return "secret"

    @post("/background/{name:str}", opt=allow(WRITE))
    async def background(self, name: FromPath[str]) -> Response[None]:
        return Response(None, background=BackgroundTask(RUNS.append, name))

    @post("/hooked", opt=allow(WRITE), before_request=hook)
    async def hooked(self, projects: Projects) -> None:
        return None

    @get("/no-table", opt=allow(READ))
    async def no_table(self, projects: Projects) -> None:
        await projects.unit_of_work.rows(select(NOTHING.c.id).limit(1))


feature = Feature("refusals", controllers=[RefusalController], provides={"projects": ProjectRepository})
"""
END_SESSION = "UPDATE sessions SET ended_at = now() WHERE id = :session"
FIRST, SECOND = text("SELECT 1"), text("SELECT count(*) FROM users")


@pytest.fixture(scope="module", params=[True, False], ids=["lane", "session"])
async def served(
    app: Litestar, settings: Settings, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> AsyncIterator[Served]:
    own = msgspec.structs.replace(settings, database_fast_lane=request.param)
    with planted_slice(tmp_path_factory.mktemp("refusals"), PACKAGE, PLUGIN) as features:
        async with serving(own, features=features) as served:
            yield served


@pytest.fixture
async def tenant(served: Served) -> TenantHandle:
    runs().clear()
    return await served.world.tenant()


def runs() -> list[str]:
    found: list[str] = sys.modules[f"{PACKAGE}.planted.plugin"].RUNS
    return found


@pytest.mark.parametrize(("ending", "alone"), [("nothing", 201), ("missing", 404), ("broken", 500)])
async def test_swallowed_refusal(served: Served, tenant: TenantHandle, ending: str, alone: int) -> None:
    """A handler that catches every error of the application, the refusal too, does not get its own answer out."""
    permitted = await served.api.as_(tenant.member).post(f"/refusals/swallowed/{ending}")
    refused = await served.api.as_(tenant.viewer).post(f"/refusals/swallowed/{ending}")

    assert alone == permitted.status_code
    assert problem(403, "permission_missing", permission="projects:write") == refused


async def test_background_task_of_a_refused_answer(served: Served, tenant: TenantHandle) -> None:
    """What was to come after an answer does not come when the answer did not."""
    permitted = await served.api.as_(tenant.member).post("/refusals/background/permitted")
    refused = await served.api.as_(tenant.viewer).post("/refusals/background/refused")

    assert 201 == permitted.status_code
    assert problem(403, "permission_missing", permission="projects:write") == refused
    assert ["permitted"] == runs()


@pytest.mark.parametrize(
    ("path", "options"),
    [
        ("POST /projects", {"json": {"name": "\0"}}),
        ("POST /projects", {}),
        ("POST /projects", {"content": "x"}),
        ("POST /projects", {"content": "x", "headers": {"Content-Type": "text/plain"}}),
        ("POST /refusals/background/revoked", {}),
        ("POST /refusals/hooked", {}),
        ("GET /refusals/no-table", {}),
    ],
    ids=repr,
)
async def test_revoked(served: Served, tenant: TenantHandle, path: str, options: dict[str, Any]) -> None:
    """A refusal comes before any other error, and nothing has happened elsewhere."""
    await Stage(served.world, tenant).run(END_SESSION)
    method, _, path = path.partition(" ")
    answer = await served.api.as_(tenant.owner).request(method, path, **options)

    assert problem(401, "session_ended") == answer
    assert [] == runs()


@pytest.fixture
async def engine(app: Litestar, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[AsyncEngine]:
    monkeypatch.setattr(engines, "POOL_WAIT_SECONDS", 0.05)
    own = msgspec.structs.replace(settings, database_pool_size=1)
    engine = create_engine(runtime_url(own), own)
    yield engine
    await engine.dispose()


@pytest.fixture
async def intruder(engine: AsyncEngine) -> AsyncIterator[UnitOfWork]:
    """A unit of work of somebody whose session never was."""
    unit_of_work = Database(engine).unit_of_work()
    unit_of_work.begin_request(Principal(new_id(), new_id(), new_id()), "projects:read")
    yield unit_of_work
    await unit_of_work.close()


async def test_who_found_no_connection_cannot_go_on(engine: AsyncEngine, intruder: UnitOfWork) -> None:
    """Once the pool has a connection again, nothing happens on it without the question, and no commit does either."""
    async with engine.connect():
        with pytest.raises(PoolExhausted):
            await intruder.scalar(FIRST)

    assert [True, True] == [await fails(intruder.scalar(SECOND)), await fails(intruder.commit())]


async def test_who_was_cancelled_cannot_go_on(engine: AsyncEngine) -> None:
    """At whatever moment the beginning is cancelled, no statement follows without the question."""
    went_on = []
    for turns in range(1, 13):
        unit_of_work = Database(engine).unit_of_work()
        unit_of_work.begin_request(Principal(new_id(), new_id(), new_id()), "projects:read")
        beginning = asyncio.create_task(unit_of_work.scalar(FIRST))
        for _ in range(turns):
            await asyncio.sleep(0)
        beginning.cancel()
        await asyncio.wait([beginning])
        went_on += [turns] if not await fails(unit_of_work.scalar(SECOND)) else []
        await unit_of_work.close()

    assert [] == went_on


async def test_who_found_no_place_cannot_go_on(engine: AsyncEngine, settings: Settings) -> None:
    """Once the fast lane has a place again, there is still no commit without the question."""
    narrow = msgspec.structs.replace(settings, database_lane_connections=1, database_lane_queue=1)
    lane = create_lane(runtime_url(narrow), narrow)
    await lane.start()
    nap = asyncio.create_task(lane.run([statement("SELECT pg_sleep(0.2)")], writes=False))
    await asyncio.sleep(0)
    unit_of_work = Database(engine, lane).unit_of_work(fast=True)
    unit_of_work.begin_request(Principal(new_id(), new_id(), new_id()), "projects:read")
    with pytest.raises(DatabaseBusy):
        await unit_of_work.structs(ProjectRepository.by_id, tuple, {"id": new_id()})
    await nap
    ended = await fails(unit_of_work.commit())
    await lane.stop()

    assert ended


async def fails(work: Awaitable[Any]) -> bool:
    try:
        await work
    except Exception:  # whichever it is, nothing has happened
        return True
    return False
