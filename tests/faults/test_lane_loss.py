"""Lost connections and a lost server: what answered 201 is stored once, and nothing is ever stored twice."""

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from uuid import UUID

import httpx
import msgspec
import psycopg
import pytest
from litestar import Litestar

from tenantry.config import Settings
from tenantry.db.embedded import EmbeddedPostgres
from tenantry.testing import Api
from tenantry.testing.databases import DatabaseUrls, TestDatabases
from tests.faults.lanes import kill_backends
from tests.faults.planted import Served, serving

BACKENDS = "usename = 'tenantry_app'"
CLIENTS = 24
KEEPS_ALL = {"fsync": "off"}
"""Of what was committed, as long as the machine does not stop as well."""


class Load:
    """Clients that read and write without a pause until they are stopped."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.goes_on = True
        self.reads: Counter[str] = Counter()
        self.writes: dict[str, str] = {}
        """Of each name, what the attempt to store it answered."""
        self.longest = 0.0

    async def client(self, number: int) -> None:
        mine = ""
        for turn in range(1_000_000):
            if not self.goes_on:
                return
            began = time.monotonic()
            if turn % 2:
                name = f"{number} {turn}"
                answer = await self.api.post("/projects", json={"name": name})
                self.writes[name] = outcome(answer)
                mine = answer.json()["id"] if answer.is_success else mine
            else:
                answer = await self.api.get(f"/projects/{mine}" if mine else "/projects?limit=5")
                self.reads[outcome(answer)] += 1
            self.longest = max(self.longest, time.monotonic() - began)
            await asyncio.sleep(0)


def outcome(answer: httpx.Response) -> str:
    return "done" if answer.is_success else f"{answer.status_code} {answer.json()['code']}"


def stored(urls: DatabaseUrls, tenant_id: UUID) -> Counter[str]:
    with psycopg.connect(urls.conninfo) as connection:
        rows = connection.execute("SELECT name FROM projects WHERE tenant_id = %s", [tenant_id])
        return Counter(name for (name,) in rows)


async def seconds_until_healthy(api: Api, served: Served) -> float:
    """Until fifty requests in a row are served, and the lane is open."""
    began, row = time.monotonic(), 0
    while (row < 50 or not served.lane.takes(object())) and time.monotonic() - began < 10:
        row = row + 1 if (await api.get("/projects?limit=1")).is_success else 0
    return time.monotonic() - began


@pytest.fixture(scope="module")
def urls(databases: TestDatabases, worker_id: str) -> Iterator[DatabaseUrls]:
    with databases.clone(f"lane_loss_{worker_id}") as urls:
        yield urls


@pytest.fixture(scope="module")
async def served(app: Litestar, urls: DatabaseUrls, settings: Settings) -> AsyncIterator[Served]:
    own = msgspec.structs.replace(settings, database_url=urls.runtime, database_fast_lane=True)
    async with serving(own) as served:
        yield served


async def test_killed_backends(served: Served, urls: DatabaseUrls) -> None:
    """While all connections are killed over and over, reads are served, and no write is lost or done twice."""
    tenant = await served.world.tenant("killed")
    api = served.api.as_(tenant.member)
    load = Load(api)
    clients = [asyncio.create_task(load.client(number)) for number in range(CLIENTS)]
    random, killed = Random(1), 0
    for _ in range(8):
        await asyncio.sleep(0.1 + random.random() * 0.2)
        killed += await kill_backends(urls.conninfo, BACKENDS)
    load.goes_on = False
    await asyncio.gather(*clients)
    seconds = await seconds_until_healthy(api, served)

    found = stored(urls, tenant.id)
    assert killed > 12
    assert load.reads.keys() <= {"done", "503 database_unavailable"}
    assert set(load.writes.values()) <= {"done", "503 database_unavailable"}
    assert set() == {name for name, answer in load.writes.items() if answer == "done"} - found.keys()
    assert {1} == set(found.values())
    assert seconds < 3


async def test_stopped_server(app: Litestar, settings: Settings) -> None:
    """A server stops at once and comes back a second later: meanwhile 503, then all is well, and nothing is lost."""
    with TemporaryDirectory(prefix="tenantry-lane-") as folder, ExitStack() as stack:
        home = Path(folder, "server")
        stack.enter_context(EmbeddedPostgres(home, settings=KEEPS_ALL, say=lambda _: None))
        urls = stack.enter_context(TestDatabases(home, "lane", None).clone("stopped"))
        own = msgspec.structs.replace(settings, database_url=urls.runtime, database_fast_lane=True)
        async with serving(own) as served:
            tenant = await served.world.tenant("stopped")
            api = served.api.as_(tenant.member)
            load = Load(api)
            clients = [asyncio.create_task(load.client(number)) for number in range(4)]
            await asyncio.sleep(0.5)
            os.kill(postmaster(home), signal.SIGQUIT)
            await asyncio.sleep(1)
            down = load.reads.copy()
            again = EmbeddedPostgres(home, say=lambda _: None)
            await asyncio.to_thread(again.acquire)
            stack.callback(again.release)
            await asyncio.sleep(1)
            load.goes_on = False
            await asyncio.gather(*clients)
            seconds = await seconds_until_healthy(api, served)
            found = stored(urls, tenant.id)

    assert load.reads.keys() <= {"done", "503 database_unavailable"}
    assert set(load.writes.values()) <= {"done", "503 database_unavailable"}
    assert down["503 database_unavailable"] > 0
    assert set() == {name for name, answer in load.writes.items() if answer == "done"} - found.keys()
    assert {1} == set(found.values())
    assert seconds < 5


def postmaster(home: Path) -> int:
    return int((home / "postgres" / "data" / "postmaster.pid").read_text().split("\n")[0])
