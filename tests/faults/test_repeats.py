"""Of conflicts: what a request answers when it has run again."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Iterator
from typing import Any

import httpx
import psycopg
import pytest
from litestar import Litestar

from features.projects.models import ProjectRow
from features.projects.tests.factories import ProjectFactory
from tenantry.config import Settings
from tenantry.testing import Api, TenantHandle, World, problem
from tenantry.testing.databases import DatabaseUrls
from tests.faults.planted import planted_slice, serving
from tests.isolation.principals import Stage

AT_ONCE = 24
PACKAGE = "planted_repeats"
PLUGIN = """
from uuid import UUID
from litestar import Controller, Response, get, post
from litestar.background_tasks import BackgroundTask
from litestar.di import NamedDependency
from litestar.params import FromPath
from sqlalchemy import Column, MetaData, Table, Text, Uuid, select
from features.projects.permissions import READ, WRITE
from features.projects.repository import ProjectRepository
from tenantry.feature import Feature
from tenantry.http.policy import allow

Projects = NamedDependency[ProjectRepository]
EFFECTS = []
NOTHING = Table("nothing_of_that_name", MetaData(), Column("id", Uuid, primary_key=True))


def adding(number):
    def rule(project):
        project.description = str(int(project.description) + number)

    return rule


async def remember():
    EFFECTS.append("background")


async def hook(request):
    EFFECTS.append("before_request")


class CounterController(Controller):
    path = "/counters"

    @post("/{source:uuid}/move/{target:uuid}", opt=allow(WRITE))
    async def move(self, source: FromPath[UUID], target: FromPath[UUID], projects: Projects) -> None:
        await projects.alter(source, adding(-1))
        await projects.alter(target, adding(1))

    @post("/background", opt=allow(WRITE))
    async def background(self, projects: Projects) -> Response[None]:
        return Response(None, background=BackgroundTask(remember))

    @post("/hooked", opt=allow(WRITE), before_request=hook)
    async def hooked(self, projects: Projects) -> None:
        return None

    @get("/no-table", opt=allow(READ))
    async def no_table(self, projects: Projects) -> None:
        await projects.unit_of_work.rows(select(NOTHING.c.id).limit(1))


feature = Feature("counters", controllers=[CounterController], provides={"projects": ProjectRepository})
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with planted_slice(tmp_path_factory.mktemp(PACKAGE), PACKAGE, PLUGIN) as package:
        yield package


@pytest.fixture(scope="module")
async def client(app: Litestar, settings: Settings, package: str) -> AsyncIterator[Api]:
    async with serving(settings, features=package) as served:
        yield served.api


@pytest.fixture
def member(client: Api, acme: TenantHandle) -> Api:
    return client.as_(acme.member)


async def counter(tenant: TenantHandle, name: str, value: int = 0) -> ProjectRow:
    row: ProjectRow = await tenant.has(ProjectFactory, name=name, description=str(value))
    return row


def outcome(response: httpx.Response) -> object:
    return response.status_code if response.is_success else (response.status_code, response.json()["code"])


async def test_archive_and_rename_are_one_after_the_other(member: Api, acme: TenantHandle) -> None:
    """Of archiving and renaming at once either the new name is archived, or the rename is refused and changes nothing.

    The rule of renaming looks at what archiving changes: a rename that rests on an old look would go through.
    """
    rows = [await counter(acme, f"old {n}") for n in range(AT_ONCE)]
    calls: list[Awaitable[httpx.Response]] = []
    for n, row in enumerate(rows):
        pair = [
            member.post(f"/projects/{row.id}/archive"),
            member.patch(f"/projects/{row.id}", json={"name": f"new {n}"}),
        ]
        calls += pair if n % 2 else pair[::-1]
    answers = await asyncio.gather(*calls)

    for n, row in enumerate(rows):
        archived, renamed = answers[2 * n : 2 * n + 2][:: 1 if n % 2 else -1]
        last = (await member.get(f"/projects/{row.id}")).json()
        assert 200 == archived.status_code
        assert last["archived_at"] is not None
        assert archived.json()["name"] == last["name"]
        if renamed.is_success:
            assert (f"new {n}", None) == (last["name"], renamed.json()["archived_at"])
        else:
            assert problem(409, "project_archived") == renamed
            assert f"old {n}" == last["name"]


async def test_change_of_what_is_deleted(member: Api, acme: TenantHandle) -> None:
    """A change that has read what is then deleted finds nothing when it runs again: 404, not 500."""
    rows = [await counter(acme, f"{n}") for n in range(AT_ONCE)]
    calls: list[Awaitable[httpx.Response]] = []
    for row in rows:
        path = f"/projects/{row.id}"
        calls += [member.patch(path, json={"name": f"new {row.name}"}), member.delete(path)]
    answers = await asyncio.gather(*calls)

    assert {204} == {answer.status_code for answer in answers[1::2]}
    assert {200, (404, "project_not_found")} >= {*map(outcome, answers[::2])}


@pytest.mark.parametrize("again", [False, True], ids=["lock_timeout", "demoted statement"])
async def test_row_is_locked_and_changed(
    member: Api, acme: TenantHandle, database_urls: DatabaseUrls, again: bool
) -> None:
    """A change that waits for a lock longer than the lane does, and then finds another version, is done again."""
    row = await counter(acme, "locked")
    async with await psycopg.AsyncConnection.connect(database_urls.conninfo) as other:
        await other.execute("UPDATE projects SET description = 'theirs' WHERE id = %s", [row.id])
        task = asyncio.create_task(member.patch(f"/projects/{row.id}", json={"name": "mine"}))
        await asyncio.sleep(0.4)
        await other.commit()
        answer = await task
    if again:  # the statement is demoted now: changes at once rest on the session
        path = f"/projects/{row.id}"
        answers = await asyncio.gather(*(member.patch(path, json={"name": f"n {n}"}) for n in range(8)))
        assert {200} == {*map(outcome, answers)}
    else:
        assert (200, "mine", "theirs") == (outcome(answer), *(answer.json()[key] for key in ("name", "description")))


async def test_two_rows_are_altered(member: Api, acme: TenantHandle) -> None:
    """A handler that alters two rows is repeated after a conflict as one of one row is."""
    rows = [await counter(acme, f"counter {n}", 100) for n in range(8)]
    pairs = [(rows[n % 8], rows[(n + 1) % 8]) for n in range(AT_ONCE)]
    answers = await asyncio.gather(*(member.post(f"/counters/{a.id}/move/{b.id}") for a, b in pairs))
    last = [(await member.get(f"/projects/{row.id}")).json()["description"] for row in rows]

    assert {201: AT_ONCE} == Counter(map(outcome, answers))
    assert ["100"] * 8 == last


END_SESSION = "UPDATE sessions SET ended_at = now() WHERE id = :session"


@pytest.mark.parametrize(
    ("path", "options"),
    [
        ("POST /projects", {"json": {"name": "\0"}}),
        ("POST /projects", {}),
        ("POST /projects", {"content": "x"}),
        ("POST /projects", {"content": "x", "headers": {"Content-Type": "text/plain"}}),
        ("POST /counters/background", {}),
        ("POST /counters/hooked", {}),
        ("GET /counters/no-table", {}),
    ],
    ids=repr,
)
async def test_revoked(client: Api, world: World, path: str, options: dict[str, Any]) -> None:
    """A refusal comes before any other error, and nothing has happened elsewhere."""
    import importlib

    stage = Stage(world, await world.tenant())
    await stage.run(END_SESSION)
    module = importlib.import_module(f"{PACKAGE}.planted.plugin")
    module.EFFECTS.clear()
    method, _, path = path.partition(" ")

    answer = await client.as_(stage.tenant.owner).request(method, path, **options)
    assert (problem(401, "session_ended") == answer, []) == (True, module.EFFECTS), answer.text
