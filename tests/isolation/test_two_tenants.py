"""Over HTTP no tenant can see, change or even notice another. Generated from what the application offers."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import psycopg
import pytest
from litestar import Litestar

from tenantry.app import create_app
from tenantry.config import Settings
from tenantry.security.plugin import SecurityPlugin
from tenantry.testing import PASSWORD, Api, TenantHandle, World, asgi_client
from tenantry.testing.databases import TestDatabases
from tests.isolation.leaks import Neighbours
from tests.isolation.operations import Contract

OPENED = """
    DROP POLICY tenant_isolation ON projects;
    ALTER TABLE projects NO FORCE ROW LEVEL SECURITY;
    ALTER TABLE projects DISABLE ROW LEVEL SECURITY
"""


async def test_foreign_row_is_a_row_that_never_was(
    api: Api, contract: Contract, acme: TenantHandle, globex: TenantHandle
) -> None:
    """For every operation with an id, another tenant's answers the same bytes, headers included, as a random one."""
    found = await Neighbours(api, contract, acme, globex).tellings()

    assert [] == found


async def test_no_answer_shows_another_tenant(
    api: Api, contract: Contract, acme: TenantHandle, globex: TenantHandle
) -> None:
    """No list and no other answer contains an id, address or name of another tenant; its own lists show its rows."""
    found = await Neighbours(api, contract, acme, globex).sightings()

    assert [] == found


async def test_operations_are_tried(contract: Contract) -> None:
    """The document and the routes are not empty, and what is hidden from the document is public."""
    operations = contract.operations

    assert [] == [str(each) for each in operations if not each.document and not each.is_public]
    assert [] != [each for each in operations if each.parameters and not each.is_public]


@pytest.mark.parametrize("opened", [False, True], ids=["isolated", "opened"])
async def test_the_proof_can_fail(databases: TestDatabases, worker_id: str, tmp_path: Path, opened: bool) -> None:
    """On a database whose projects lost their policy the same code leaks them, and the proof above names it."""
    with databases.clone(f"{worker_id}_leak") as urls:
        if opened:
            with psycopg.connect(urls.conninfo) as admin:
                admin.execute(OPENED)
        settings = Settings(home=str(tmp_path), database_url=urls.runtime)
        async with served(settings) as (api, neighbours):
            theirs = await api.as_(neighbours.theirs.owner).post("/projects", json={"name": "Apollo"})
            seen = await api.as_(neighbours.mine.viewer).get(f"/projects/{theirs.json()['id']}")
            tellings, sightings = await neighbours.tellings(), await neighbours.sightings()

    assert (200 if opened else 404) == seen.status_code
    assert opened == any(found.startswith("GET /api/v1/projects/{project_id}: tells") for found in tellings)
    assert opened == any(found.startswith("GET /api/v1/projects: shows") for found in sightings)


@asynccontextmanager
async def served(settings: Settings) -> AsyncIterator[tuple[Api, Neighbours]]:
    """A second application beside that of the other tests, with two tenants."""
    app = create_app(settings)
    async with app.lifespan(), client_of(app) as client:
        security = app.plugins.get(SecurityPlugin)
        world = World(app.state.database, security.tokens, await security.passwords.hash(PASSWORD))
        mine, theirs = await world.tenant("acme"), await world.tenant("globex")
        yield Api(client), Neighbours(Api(client), Contract(app), mine, theirs)


def client_of(app: Litestar) -> httpx.AsyncClient:
    return asgi_client(app)
