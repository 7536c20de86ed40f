"""Requests that change the same rows at the same moment: the result is as if one had come after the other.

That takes requests that run again after a conflict, and those must answer as if they had run once.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable
from importlib import import_module
from random import Random
from types import ModuleType

import httpx
import psycopg
import pytest
from litestar import Litestar

from tenantry.config import Settings
from tenantry.testing import Api, TenantHandle, problem
from tenantry.testing.databases import DatabaseUrls
from tests.faults.counters import PLUGIN, counter, found, outcome
from tests.faults.planted import package_of, serving

AT_ONCE = 24
PACKAGE = "planted_conflicts"


package = package_of(PACKAGE, PLUGIN)


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


@pytest.mark.parametrize(("projects", "times"), [(1, AT_ONCE), (AT_ONCE, 1)])
async def test_project_is_deleted_once(member: Api, acme: TenantHandle, projects: int, times: int) -> None:
    """Of deletions of a project at once one is told that it did it; changes are made before it or find nothing: 404.

    That holds for a change as well that has read the project, and runs again because it is deleted then.
    """
    rows = [await counter(acme, f"{n}") for n in range(projects)]
    paths = [f"/projects/{row.id}" for row in rows]
    calls: list[Awaitable[httpx.Response]] = []
    for n, path in enumerate(paths * times):
        calls += [member.patch(path, json={"name": f"new {n}", "description": f"{n}"}), member.delete(path)]
    answers = await asyncio.gather(*calls)
    changes, deletions = answers[::2], answers[1::2]

    gone = (404, "project_not_found")
    assert Counter({204: projects, gone: projects * (times - 1)}) == Counter(map(outcome, deletions))
    assert {200, gone} >= {*map(outcome, changes)}
    assert [problem(404, "project_not_found")] * projects == [await member.get(path) for path in paths]


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
    answers = await asyncio.gather(*(member.post(f"/counters/{a.id}/alter/{b.id}") for a, b in pairs))
    last = [await found(member, row) for row in rows]

    assert {201: AT_ONCE} == Counter(map(outcome, answers))
    assert ["100"] * 8 == last
