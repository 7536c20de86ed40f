"""Requests that change the same rows at the same moment: the result is as if one had come after the other."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from importlib import import_module
from random import Random
from types import ModuleType

import httpx
import pytest
from litestar import Litestar

from features.projects.models import ProjectRow
from features.projects.tests.factories import ProjectFactory
from tenantry.config import Settings
from tenantry.testing import Api, TenantHandle, problem
from tests.faults.planted import planted_slice, serving

AT_ONCE = 24
PACKAGE = "planted_conflicts"

# Rules over one row and over two. RUNS has an entry for each time that a handler has begun.
PLUGIN = """
import asyncio
from uuid import UUID

from litestar import Controller, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from features.projects.dtos import Project
from features.projects.permissions import WRITE
from features.projects.repository import ProjectRepository
from tenantry.config import Settings
from tenantry.feature import Feature
from tenantry.http.policy import allow

Projects = NamedDependency[ProjectRepository]
MEETING = asyncio.Barrier(2)
RUNS = []


def adding(number):
    def rule(project):
        project.description = str(int(project.description) + number)

    return rule


async def lock_both(projects, first, second):
    RUNS.append((first, second))
    row = await projects.entity(first)
    if RUNS.count((first, second)) == 1:
        await MEETING.wait()
    for each in (row, await projects.entity(second)):
        adding(1)(each)
        await projects.save(each)


class CounterController(Controller):
    path = "/counters"

    @post("/{counter:uuid}/count", opt=allow(WRITE))
    async def count(self, counter: FromPath[UUID], projects: Projects) -> Project:
        return await projects.alter(counter, adding(1))

    @post("/{source:uuid}/move/{target:uuid}", opt=allow(WRITE))
    async def move(self, source: FromPath[UUID], target: FromPath[UUID], projects: Projects) -> None:
        for counter, row in [(source, await projects.entity(source)), (target, await projects.entity(target))]:
            adding(1 if counter == target else -1)(row)
            await projects.save(row)

    @post("/{first:uuid}/lock/{second:uuid}", opt=allow(WRITE))
    async def lock(self, first: FromPath[UUID], second: FromPath[UUID], projects: Projects) -> None:
        await lock_both(projects, first, second)

    @post("/{first:uuid}/lock-once/{second:uuid}", opt=allow(WRITE))
    async def lock_once(
        self, first: FromPath[UUID], second: FromPath[UUID], projects: Projects, settings: NamedDependency[Settings]
    ) -> None:
        await lock_both(projects, first, second)


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


@pytest.fixture
def planted(client: Api) -> ModuleType:
    module = import_module(f"{PACKAGE}.planted.plugin")
    module.RUNS.clear()
    return module


async def counter(tenant: TenantHandle, name: str, value: int = 0) -> ProjectRow:
    row: ProjectRow = await tenant.has(ProjectFactory, name=name, description=str(value))
    return row


async def found(api: Api, row: ProjectRow, field: str = "description") -> object:
    return (await api.get(f"/projects/{row.id}")).json()[field]


def outcome(response: httpx.Response) -> object:
    return response.status_code if response.is_success else (response.status_code, response.json()["code"])


async def test_changes_of_one_project_all_succeed(member: Api, acme: TenantHandle) -> None:
    """Of many changes of different fields at once each is answered 200, and every field has what one of them wrote."""
    project = await counter(acme, "Apollo")

    answers = await asyncio.gather(
        *(member.patch(f"/projects/{project.id}", json={"name": f"name {n}"}) for n in range(AT_ONCE)),
        *(member.patch(f"/projects/{project.id}", json={"description": f"text {n}"}) for n in range(AT_ONCE)),
    )
    last = (await member.get(f"/projects/{project.id}")).json()

    assert {200} == {answer.status_code for answer in answers}
    assert [f"name {n}" for n in range(AT_ONCE)] == [answer.json()["name"] for answer in answers[:AT_ONCE]]
    assert [f"text {n}" for n in range(AT_ONCE)] == [answer.json()["description"] for answer in answers[AT_ONCE:]]
    assert last == max((answer.json() for answer in answers), key=lambda each: str(each["updated_at"]))
    assert (last["name"][:5], last["description"][:5]) == ("name ", "text ")


async def test_no_update_is_lost(member: Api, acme: TenantHandle) -> None:
    """A counter that many requests count at once has counted each, and no two were told the same number."""
    row = await counter(acme, "counter")

    answers = await asyncio.gather(*(member.post(f"/counters/{row.id}/count") for _ in range(AT_ONCE)))

    assert {201} == {answer.status_code for answer in answers}
    assert [*range(1, AT_ONCE + 1)] == sorted(int(answer.json()["description"]) for answer in answers)
    assert str(AT_ONCE) == await found(member, row)


async def test_name_is_taken_once(member: Api) -> None:
    """Of many projects of one name that are created at once one is stored, and the others are told so."""
    answers = await asyncio.gather(*(member.post("/projects", json={"name": "Apollo"}) for _ in range(AT_ONCE)))
    listed = await member.get("/projects")

    assert {201: 1, (409, "project_name_taken"): AT_ONCE - 1} == Counter(map(outcome, answers))
    assert [answer.json() for answer in answers if answer.is_success] == listed.json()["items"]


async def test_project_is_deleted_once(member: Api, acme: TenantHandle) -> None:
    """Of many deletions of one project one is told that it did it; changes are made before it or find nothing."""
    project = await counter(acme, "Apollo")

    answers = await asyncio.gather(
        *(member.delete(f"/projects/{project.id}") for _ in range(AT_ONCE)),
        *(member.patch(f"/projects/{project.id}", json={"description": f"{n}"}) for n in range(AT_ONCE)),
    )
    deletions, changes = answers[:AT_ONCE], answers[AT_ONCE:]

    gone = (404, "project_not_found")
    assert {204: 1, gone: AT_ONCE - 1} == Counter(map(outcome, deletions))
    assert {200, gone} >= {outcome(answer) for answer in changes}
    assert problem(404, "project_not_found") == await member.get(f"/projects/{project.id}")


async def test_deadlock_is_done_again(member: Api, acme: TenantHandle, planted: ModuleType) -> None:
    """Of two requests that lock two rows in opposite order PostgreSQL ends one: it runs again, and both succeed."""
    one, two = await counter(acme, "one"), await counter(acme, "two")

    answers = await asyncio.gather(
        member.post(f"/counters/{one.id}/lock/{two.id}"), member.post(f"/counters/{two.id}/lock/{one.id}")
    )

    assert [201, 201] == [answer.status_code for answer in answers]
    assert 3 == len(planted.RUNS)
    assert ("2", "2") == (await found(member, one), await found(member, two))


async def test_deadlock_of_what_must_not_run_twice_is_told(
    member: Api, acme: TenantHandle, planted: ModuleType
) -> None:
    """Handlers that could act outside of the database run once: one of two in a deadlock is told to try again."""
    one, two = await counter(acme, "one"), await counter(acme, "two")

    answers = await asyncio.gather(
        member.post(f"/counters/{one.id}/lock-once/{two.id}"), member.post(f"/counters/{two.id}/lock-once/{one.id}")
    )

    assert {201: 1, (409, "concurrent_change"): 1} == Counter(map(outcome, answers))
    assert 2 == len(planted.RUNS)
    assert ("1", "1") == (await found(member, one), await found(member, two))


async def test_rows_are_moved_between_in_any_order(member: Api, acme: TenantHandle) -> None:
    """Of moves between few counters in random order each has happened, or is answered 409 and has not."""
    random = Random(7)
    rows = [await counter(acme, f"counter {n}", 100) for n in range(8)]
    expected = dict.fromkeys(rows, 100)
    moves = [random.sample(rows, 2) for _ in range(AT_ONCE)]

    answers = await asyncio.gather(*(member.post(f"/counters/{a.id}/move/{b.id}") for a, b in moves))
    outcomes = Counter(map(outcome, answers))
    for (source, target), answer in zip(moves, answers, strict=True):
        expected[source] -= answer.is_success
        expected[target] += answer.is_success

    assert {201, (409, "concurrent_change")} >= outcomes.keys()
    assert outcomes[201] >= AT_ONCE // 2
    assert {str(value) for value in expected.values()} == {*[await found(member, row) for row in rows]}
    assert list(map(str, expected.values())) == [await found(member, row) for row in rows]
