"""Fixtures for every test: the application with its production middleware on a real database, and clients of it."""

import os
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from litestar import Litestar

from tenantry.app import create_app
from tenantry.config import Settings
from tenantry.db.database import Database
from tenantry.security.plugin import SecurityPlugin
from tenantry.testing import event_loop, reach
from tenantry.testing.api import Api, From, asgi_client, clients_of, elsewhere
from tenantry.testing.databases import DatabaseUrls, TestDatabases, run_name
from tenantry.testing.mailbox import Mailbox
from tenantry.testing.service import LiveService, running_service
from tenantry.testing.world import PASSWORD, TenantHandle, World

RUN, HOME = "PYTEST_TENANTRY_RUN", "PYTEST_TENANTRY_HOME"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--postgres", metavar="URL", help="administrator of a PostgreSQL to use, not the embedded one")
    parser.addoption("--no-fast-lane", action="store_true", help="send every statement through the ordinary session")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    # Registered late, so that its fixture replaces anyio's.
    config.pluginmanager.register(event_loop)
    config.pluginmanager.register(reach, "reach")
    if not hasattr(config, "workerinput"):
        os.environ[RUN] = secrets.token_hex(4)
        os.environ[HOME] = tempfile.mkdtemp(prefix="tenantry-")
        # Not pytest's folder, which every run closes to other users: an embedded server of root is one.
        config.option.basetemp = config.option.basetemp or str(Path(os.environ[HOME], "t"))


def pytest_unconfigure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput"):
        return
    if admin_url := config.getoption("postgres"):
        TestDatabases(Path(os.environ[HOME]), run_name(), admin_url).drop_all()
    shutil.rmtree(os.environ[HOME], ignore_errors=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what touches the database, so that it can be repeated against another server."""
    for item in items:
        if "databases" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.database)


@pytest.fixture(scope="session")
def databases(request: pytest.FixtureRequest) -> Iterator[TestDatabases]:
    databases = TestDatabases(Path(os.environ[HOME]), run_name(), request.config.getoption("postgres"))
    with databases.server():
        yield databases


@pytest.fixture(scope="session")
def database_urls(databases: TestDatabases, worker_id: str) -> Iterator[DatabaseUrls]:
    """This worker's database."""
    with databases.clone(worker_id) as urls:
        yield urls


@pytest.fixture(scope="session")
def settings(
    database_urls: DatabaseUrls, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Settings:
    return Settings(
        home=str(tmp_path_factory.mktemp("home")),
        database_url=database_urls.runtime,
        migration_database_url=database_urls.migration,
        database_pool_size=5,
        guesses_in_all=0,  # one budget that tests would share, at the moments to which they move the clock
        database_fast_lane=not request.config.getoption("no_fast_lane"),
        send_mail=False,
    )


@pytest.fixture(scope="session")
async def app(settings: Settings) -> AsyncIterator[Litestar]:
    app = create_app(settings)
    async with app.lifespan():
        yield app


@pytest.fixture(scope="session")
def database(app: Litestar) -> Database:
    database: Database = app.state.database
    return database


@pytest.fixture
async def api(app: Litestar) -> AsyncIterator[Api]:
    """A client without a credential, in a network of its own: what a test guesses wrongly counts for no other."""
    async with asgi_client(app, address=elsewhere()) as client:
        yield Api(client)


@pytest.fixture
async def coming_from(app: Litestar) -> AsyncIterator[From]:
    """Makes clients that come from an address."""
    async with AsyncExitStack() as clients:
        yield clients_of(app, clients)


@pytest.fixture(scope="session")
def mailbox(settings: Settings) -> Mailbox:
    return Mailbox(settings.home_path / "mail", settings)


@pytest.fixture(scope="session")
async def world(app: Litestar, database: Database) -> World:
    security = app.plugins.get(SecurityPlugin)
    return World(database, security.tokens, await security.passwords.hash(PASSWORD))


@pytest.fixture
async def acme(world: World) -> TenantHandle:
    return await world.tenant("acme")


@pytest.fixture
async def globex(world: World) -> TenantHandle:
    return await world.tenant("globex")


@pytest.fixture(scope="session")
def live_service(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveService]:
    """A process that serves this worker's database; for other settings use `running_service`."""
    with running_service(settings, tmp_path_factory.mktemp("service")) as service:
        yield service
