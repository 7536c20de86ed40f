"""Under load, through a pooler, with requests that are given up at any moment: every answer is its own tenant's."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from typing import Any

import msgspec
import pytest
from litestar import Litestar
from sqlalchemy import text

from features.projects.tests.factories import ProjectFactory
from tenantry.config import Settings
from tenantry.db.plugin import DatabasePlugin
from tenantry.testing import Api, TenantHandle
from tenantry.testing.databases import DatabaseUrls, TestDatabases
from tests.faults.lanes import asked, statement
from tests.faults.planted import Served, serving
from tests.faults.poolers import CLEAN, PROGRAMS, SERVERS, Pooler, running

CLIENTS, TENANTS, REQUESTS, POOL = 64, 16, 40, 5
GIVEN_UP = 0.3
LONGEST_PATIENCE_SECONDS = 0.05
BUSY = ("pool_exhausted", "database_busy")
SEED = 20261125
BOUND = text(
    "SELECT nullif(current_setting('app.tenant_id', true), ''), nullif(current_setting('app.user_id', true), '')"
)


@pytest.fixture(scope="module")
def urls(app: Litestar, databases: TestDatabases, worker_id: str) -> Iterator[DatabaseUrls]:
    with databases.clone(f"stress_{worker_id}") as urls:
        yield urls


@pytest.fixture(scope="module", params=[pytest.param(None, id="no pooler"), *PROGRAMS])
def pooler(request: pytest.FixtureRequest, urls: DatabaseUrls) -> Iterator[Pooler | None]:
    if request.param is None:
        yield None
        return
    with running(request.param, urls) as pooler:
        yield pooler


@pytest.fixture(params=["fast", "session"])
async def served(
    request: pytest.FixtureRequest, urls: DatabaseUrls, pooler: Pooler | None, settings: Settings
) -> AsyncIterator[Served]:
    behind = msgspec.structs.replace(
        settings,
        database_url=pooler.url if pooler else urls.runtime,
        database_pool_size=POOL,
        database_lane_connections=POOL,
        database_fast_lane=request.param == "fast",
    )
    async with serving(behind) as served:
        yield served


class Client:
    """One of many who ask for random things of their tenant, and for its neighbour's, and lose patience."""

    def __init__(self, api: Api, tenant: TenantHandle, own: list[str], foreign: list[str], number: int) -> None:
        """`api` has the credential of somebody of the tenant."""
        self.api, self.tenant, self.own, self.foreign = api, tenant, own, foreign
        self.random = random.Random(f"{SEED}/{number}")  # a seed, so that a failure can be repeated
        self.number = number
        self.wrong: list[str] = []
        self.counts: Counter[str] = Counter()

    async def work(self) -> None:
        for number in range(REQUESTS):
            request = asyncio.create_task(self._request(number))
            if self.random.random() < GIVEN_UP:
                await asyncio.wait([request], timeout=self.random.uniform(0, LONGEST_PATIENCE_SECONDS))
                request.cancel()
            try:
                await request
            except asyncio.CancelledError:
                self.counts["given up"] += 1

    async def _request(self, number: int) -> None:
        name = f"{self.tenant.slug} {self.number}-{number}"
        match self.random.randrange(6):
            case 0:
                self._look(await self.api.get("/projects?limit=20"), {200})
            case 1:
                self._look(await self.api.get("/projects?limit=200&include_total=true&archived=false"), {200})
            case 2:
                self._look(await self.api.get(f"/projects/{self.random.choice(self.own)}"), {200})
            case 3:
                self._look(await self.api.post("/projects", json={"name": name}), {201})
            case 4:
                change = {"description": name}
                self._look(await self.api.patch(f"/projects/{self.random.choice(self.own)}", json=change), {200, 409})
            case _:
                self._look(await self.api.get(f"/projects/{self.random.choice(self.foreign)}"), {404})

    def _look(self, answer: Any, statuses: set[int]) -> None:
        body = answer.json()
        if answer.status_code == 503 and body["code"] in BUSY:
            self.counts["busy"] += 1
            return
        self.counts["answered"] += 1
        if answer.status_code not in statuses:
            self.wrong.append(f"{answer.request.method} {answer.request.url.path}: {answer.status_code} {body}")
        for item in body.get("items", [body]):
            if "name" in item and item["name"].split()[0] != self.tenant.slug:
                self.wrong.append(f"{self.tenant.slug} was given {item['name']}")


async def test_sixty_four_clients_of_sixteen_tenants(served: Served, pooler: Pooler | None) -> None:
    """No answer, to session or API key, has another tenant's row; no connection, ours or a pooler's, stays bound."""
    tenants = [await served.world.tenant(f"s{number}") for number in range(TENANTS)]
    rows = {
        tenant.slug: [str((await tenant.has(ProjectFactory, name=f"{tenant.slug} {n}")).id) for n in range(4)]
        for tenant in tenants
    }
    keys = [await tenant.key(tenant.member.id, ("projects:read", "projects:write")) for tenant in tenants]
    apis = [served.api.as_(tenant.member) for tenant in tenants] + [served.api.bearing(key.text) for key in keys]
    clients = [
        Client(apis[number % len(apis)], tenant, rows[tenant.slug], rows[tenants[(number + 1) % TENANTS].slug], number)
        for number, tenant in enumerate(tenants * (CLIENTS // TENANTS))
    ]

    await asyncio.gather(*(client.work() for client in clients))

    counts = sum((client.counts for client in clients), Counter())
    assert [] == [fault for client in clients for fault in client.wrong]
    assert counts["given up"] > CLIENTS, counts
    assert counts["answered"] > CLIENTS * REQUESTS / 2, counts
    assert {(None, None)} == await bindings(served.app)
    assert pooler is None or [CLEAN] * SERVERS == await pooler.left()


async def bindings(app: Litestar) -> set[tuple[Any, ...]]:
    """The tenant and the user of each connection, of the pool while all of them are taken, and of the fast lane."""
    database = app.plugins.get(DatabasePlugin)
    engine, taken = database.engine, asyncio.Barrier(POOL)

    async def ask() -> tuple[Any, ...]:
        async with engine.connect() as connection:
            row = tuple((await connection.execute(BOUND)).one())
            await taken.wait()
            return row

    found = set(await asyncio.gather(*(ask() for _ in range(POOL))))
    if database.lane is not None:
        # All are sent before the first is answered, and each goes where the fewest wait.
        kinds = [database.lane.run([statement(BOUND.text)], writes=writes) for writes in (True, False) * POOL]
        found |= {asked(answer[0]) for answer in await asyncio.gather(*kinds)}
    return found
