"""Slow statements, locked rows and too many requests: who has to wait, how long, and for what."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

import psycopg
import pytest
from litestar import Litestar
from psycopg import AsyncConnection

from features.projects.tests.factories import ProjectFactory
from tenantry.config import Settings
from tenantry.ids import new_id
from tenantry.testing import problem
from tenantry.testing.databases import DatabaseUrls, TestDatabases
from tests.faults.naps import SLACK, napping, plant_naps, timed


@pytest.fixture(scope="module")
def urls(app: Litestar, databases: TestDatabases, worker_id: str) -> Iterator[DatabaseUrls]:
    with databases.clone(f"lane_limits_{worker_id}") as urls:
        plant_naps(urls)
        yield urls


async def test_slow_statement_goes_elsewhere(urls: DatabaseUrls, settings: Settings, tmp_path: Path) -> None:
    """What takes more than a second is answered all the same; it holds up others for that second, and only once."""
    async with napping(settings, urls, tmp_path) as served:
        tenant = await served.world.tenant()
        api = served.api.as_(tenant.member)
        await api.get("/projects?limit=1")
        rounds = []
        for _ in range(2):
            slow = asyncio.create_task(timed(api.get("/naps/1500")))
            await asyncio.sleep(0.05)
            others = [timed(api.get("/projects?limit=1")) for _ in range(10)]
            rounds.append((await asyncio.gather(*others), await slow))
    (first, first_slow), (second, second_slow) = rounds

    assert [(200, [1500])] * 2 == [(slow.status, slow.answer.json()) for slow in (first_slow, second_slow)]
    assert {200} == {other.status for other in (*first, *second)}
    assert max(other.seconds for other in first) < 1 + SLACK
    assert max(other.seconds for other in second) < SLACK
    assert first_slow.seconds > 2.4
    assert second_slow.seconds < 1.5 + SLACK


async def test_slow_write_happens_once(urls: DatabaseUrls, settings: Settings, tmp_path: Path) -> None:
    """A write that is too slow for the lane is undone there, and happens once."""
    nap_id = new_id()
    async with napping(settings, urls, tmp_path) as served:
        tenant = await served.world.tenant()
        answer = await served.api.as_(tenant.member).post(f"/naps/1200/{nap_id}")

    assert 201 == answer.status_code
    with psycopg.connect(urls.conninfo) as connection:
        assert (1,) == connection.execute("SELECT count(*) FROM kept_naps WHERE id = %s", [nap_id]).fetchone()


async def test_statement_of_the_session_ends(urls: DatabaseUrls, settings: Settings, tmp_path: Path) -> None:
    """What takes longer than the session allows answers 503 statement_timeout."""
    async with napping(settings, urls, tmp_path, database_timeout_seconds=1.2) as served:
        tenant = await served.world.tenant()
        answer = await timed(served.api.as_(tenant.member).get("/naps/5000"))

    assert problem(503, "statement_timeout") == answer.answer
    assert answer.seconds < 1 + 1.2 + SLACK


@asynccontextmanager
async def locked(urls: DatabaseUrls, project_id: UUID, description: str) -> AsyncIterator[None]:
    """Inside the block somebody else is changing the row, and commits at its end."""
    async with await AsyncConnection.connect(urls.conninfo) as other:
        await other.execute("UPDATE projects SET description = %s WHERE id = %s", [description, project_id])
        yield


@pytest.mark.parametrize("description", ["by another", "as it was"])
async def test_locked_row(urls: DatabaseUrls, settings: Settings, tmp_path: Path, description: str) -> None:
    """Who waits for a row holds up others for a moment only; once it is free the change rests on what is there then."""
    async with napping(settings, urls, tmp_path) as served:
        tenant = await served.world.tenant()
        api = served.api.as_(tenant.member)
        project, other = [await tenant.has(ProjectFactory, name=name, description="as it was") for name in ("a", "b")]
        async with locked(urls, project.id, description):
            waiting = asyncio.create_task(timed(api.patch(f"/projects/{project.id}", json={"name": "new"})))
            await asyncio.sleep(0.05)
            others = await asyncio.gather(
                *(timed(api.get(f"/projects/{each.id}")) for each in (project, other) * 5),
                timed(api.patch(f"/projects/{other.id}", json={"name": "free"})),
            )
            await asyncio.sleep(0.8)
            waited = not waiting.done()
        changed = await waiting

    assert waited
    assert {200} == {each.status for each in others}
    assert max(each.seconds for each in others) < 0.1 + SLACK
    assert (200, None) == (changed.status, changed.code)
    assert ("new", description) == (changed.answer.json()["name"], changed.answer.json()["description"])


async def test_overload(urls: DatabaseUrls, settings: Settings, tmp_path: Path) -> None:
    """What finds no place in the queue is refused at once with a time to come again; all else happens."""
    ids = [new_id() for _ in range(20)]
    async with napping(settings, urls, tmp_path, database_lane_queue=3) as served:
        tenant = await served.world.tenant()
        api = served.api.as_(tenant.member)
        answers = await asyncio.gather(*(timed(api.post(f"/naps/300/{nap_id}")) for nap_id in ids))
        after = await timed(api.get("/projects?limit=1"))
    done = {nap_id for nap_id, answer in zip(ids, answers, strict=True) if answer.status == 201}
    refused = [answer for answer in answers if answer.status != 201]

    assert len(done) == 3
    assert [problem(503, "database_busy")] * 17 == [answer.answer for answer in refused]
    assert {"1"} == {answer.answer.headers["retry-after"] for answer in refused}
    assert max(answer.seconds for answer in refused) < 0.25
    assert 200 == after.status
    with psycopg.connect(urls.conninfo) as connection:
        assert done == {row[0] for row in connection.execute("SELECT id FROM kept_naps WHERE id = ANY(%s)", [ids])}
