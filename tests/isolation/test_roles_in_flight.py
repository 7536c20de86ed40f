"""A role that changes acts on the next request of every worker; one in flight began before it, or is refused."""

import asyncio
from collections.abc import AsyncIterator
from importlib import import_module
from pathlib import Path

import httpx
import pytest
from litestar import Litestar

from features.roles.tests.factories import role_of
from tenantry.config import Settings
from tenantry.testing import Account, Api, TenantHandle, problem
from tenantry.testing.service import running_service
from tests.faults.planted import package_of, serving

PACKAGE = "planted_roles"
READ, WRITE = "projects:read", "projects:write"
AT_ONCE, ROUNDS = 8, 5
NEW_CONNECTIONS = httpx.Limits(max_keepalive_connections=0)
# Both wait in the middle: one before its transaction, the other in it.
PLUGIN = """
import asyncio

from litestar import Controller, post
from litestar.di import NamedDependency

from features.projects.dtos import Project
from features.projects.models import ProjectRow
from features.projects.permissions import WRITE
from features.projects.repository import ProjectRepository
from tenantry.feature import Feature
from tenantry.http.policy import allow

Projects = NamedDependency[ProjectRepository]
RUNS, GATE = asyncio.Barrier(2), asyncio.Barrier(2)


class WaitingController(Controller):
    path = "/waiting"

    @post("/before", opt=allow(WRITE))
    async def before(self, projects: Projects) -> Project:
        await RUNS.wait()
        await GATE.wait()
        return await projects.add(ProjectRow(name="late"))

    @post("/within", opt=allow(WRITE))
    async def within(self, projects: Projects) -> Project:
        await projects.unit_of_work.flush()
        await RUNS.wait()
        await GATE.wait()
        return await projects.add(ProjectRow(name="in time"))


feature = Feature("waiting", controllers=[WaitingController], provides={"projects": ProjectRepository})
"""


package = package_of(PACKAGE, PLUGIN)


@pytest.fixture(scope="module")
async def client(app: Litestar, settings: Settings, package: str) -> AsyncIterator[Api]:
    async with serving(settings, features=package) as served:
        yield served.api


@pytest.mark.parametrize(
    ("path", "answer", "stored"),
    [("before", problem(403, "permission_missing", permission=WRITE), []), ("within", None, ["in time"])],
)
async def test_request_in_flight(
    client: Api, api: Api, acme: TenantHandle, path: str, answer: object, stored: list[str]
) -> None:
    """Its transaction decides: one that has begun ends as it began, one that begins later is refused."""
    role = await role_of(acme, acme.member, READ, WRITE)
    planted = import_module(f"{PACKAGE}.planted.plugin")

    async with asyncio.timeout(20):
        request = asyncio.create_task(client.as_(acme.member).post(f"/waiting/{path}"))
        await planted.RUNS.wait()
        changed = await api.as_(acme.admin).patch(f"/roles/{role.id}", json={"permissions": [READ]})
        await planted.GATE.wait()
        answered = await request
    listed = await client.as_(acme.member).get("/projects")
    afterwards = await api.as_(acme.member).post("/projects", json={"name": "too late"})

    assert 200 == changed.status_code
    assert answer == answered if stored == [] else 201 == answered.status_code
    assert stored == [project["name"] for project in listed.json()["items"]]
    assert problem(403, "permission_missing", permission=WRITE) == afterwards


async def test_every_worker_sees_the_change(settings: Settings, tmp_path: Path, acme: TenantHandle) -> None:
    """Of requests over new connections, which either of two workers takes, none is answered as before the change."""
    role = await role_of(acme, acme.member, READ)
    found, expected = [], []

    with running_service(settings, tmp_path, TENANTRY_WORKERS="2") as service:
        async with httpx.AsyncClient(base_url=service.url, limits=NEW_CONNECTIONS, trust_env=False) as client:
            admin, member = [await logged_in(Api(client), account) for account in (acme.admin, acme.member)]
            for number in range(2 * ROUNDS):
                body = {"permissions": [] if number % 2 else [READ]}
                changed = await admin.patch(f"/roles/{role.id}", json=body)
                answers = await asyncio.gather(*(member.get("/projects") for _ in range(AT_ONCE)))
                found.append([changed.status_code, *(answer.status_code for answer in answers)])
                expected.append([200, *[403 if number % 2 else 200] * AT_ONCE])

    assert expected == found


async def logged_in(api: Api, account: Account) -> Api:
    """With a token of that service; it takes none of another address."""
    answer = await api.post("/auth/login", json={"email": account.email, "password": account.password})
    return api.bearing(answer.json()["access_token"])
