"""What the service demands of its database before it serves."""

import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import LiteralString

import httpx
import psycopg
import pytest
from psycopg import sql
from sqlalchemy import make_url

from tenantry.app import create_app
from tenantry.config import Settings
from tenantry.db.roles import UnsafeRole
from tenantry.testing import asgi_client
from tenantry.testing.databases import DatabaseUrls, TestDatabases
from tests.contract.commands import tenantry


@pytest.fixture
def clone(databases: TestDatabases, worker_id: str) -> Iterator[DatabaseUrls]:
    with databases.clone(f"{worker_id}_booted") as urls:
        yield urls


@pytest.fixture
def empty(databases: TestDatabases, worker_id: str) -> Iterator[DatabaseUrls]:
    with databases.empty(f"{worker_id}_unmigrated") as urls:
        yield urls


@asynccontextmanager
async def booted(url: str, home: Path) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(Settings(home=str(home), database_url=url))
    async with app.lifespan(), asgi_client(app) as client:
        yield client


async def refusal(url: str, home: Path) -> str:
    """The message of the service that does not boot."""
    try:
        async with booted(url, home):
            pass
    except ExceptionGroup as group:
        return str(next(error for error in leaves(group) if isinstance(error, UnsafeRole)))
    return "it boots"


def leaves(group: ExceptionGroup[Exception]) -> Iterator[Exception]:
    for error in group.exceptions:
        yield from leaves(error) if isinstance(error, ExceptionGroup) else (error,)


@contextmanager
def login(urls: DatabaseUrls, *attributes: LiteralString) -> Iterator[tuple[str, str]]:
    """Name and address of a role that exists inside the block; it may do what the runtime role may."""
    name = f"tenantry_test_{secrets.token_hex(4)}"
    role, database = sql.Identifier(name), sql.Identifier(urls.name)
    with psycopg.connect(urls.conninfo, autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE ROLE {} LOGIN IN ROLE tenantry_app").format(role))
        try:
            for attribute in attributes:
                admin.execute(sql.SQL("ALTER ROLE {} " + attribute).format(role))
            admin.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(database, role))
            yield name, make_url(urls.runtime).set(username=name).render_as_string(hide_password=False)
        finally:
            admin.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM {}").format(database, role))
            admin.execute(sql.SQL("DROP ROLE {}").format(role))


async def test_superuser_is_refused(clone: DatabaseUrls, tmp_path: Path) -> None:
    """An administrator's address stops the boot, and the message names the property and its remedy."""
    name = clone.admin.username

    message = await refusal(clone.admin.render_as_string(hide_password=False), tmp_path)

    assert (
        f"{name} is a superuser or can become one; fix: connect as tenantry_app, or ALTER ROLE {name} NOSUPERUSER"
        in message
    )


def test_refusal_is_one_sentence(clone: DatabaseUrls, tmp_path: Path) -> None:
    """`tenantry run` with the address of an administrator ends at once, with what is wrong and no traceback."""
    clone.runtime = clone.admin.render_as_string(hide_password=False)

    outcome = tenantry(clone, tmp_path, "run")

    assert 2 == outcome.returncode
    assert outcome.stderr.startswith(
        f"{clone.admin.username} is a superuser or can become one; fix: connect as tenantry_app"
    )
    assert 1 == outcome.stderr.count("\n")


async def test_bypassrls_is_refused(clone: DatabaseUrls, tmp_path: Path) -> None:
    """A role that row-level security does not hold stops the boot."""
    with login(clone, "BYPASSRLS") as (name, url):
        message = await refusal(url, tmp_path)

    assert (
        f"{name} has BYPASSRLS or can get it; fix: connect as tenantry_app, or ALTER ROLE {name} NOBYPASSRLS" == message
    )


async def test_member_of_a_bypassing_role_is_refused(clone: DatabaseUrls, tmp_path: Path) -> None:
    """A role that could take on another one, which row-level security does not hold, is refused for it."""
    with login(clone, "BYPASSRLS") as (bypassing, _), login(clone) as (name, url):
        with psycopg.connect(clone.conninfo, autocommit=True) as admin:
            admin.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(bypassing), sql.Identifier(name)))
        message = await refusal(url, tmp_path)

    assert message.startswith(f"{name} has BYPASSRLS or can get it")


async def test_harmless_login_boots(clone: DatabaseUrls, tmp_path: Path) -> None:
    """The role of the tests here is refused for its property, and for nothing else."""
    with login(clone) as (_, url):
        async with booted(url, tmp_path) as client:
            ready = await client.get("/health/ready")

    assert 200 == ready.status_code, ready.text


@pytest.mark.parametrize("database", ["clone", "empty"])
async def test_migrator_is_refused(request: pytest.FixtureRequest, tmp_path: Path, database: str) -> None:
    """The migrator may act as the owner, so it does not serve: not even before there is a table."""
    urls: DatabaseUrls = request.getfixturevalue(database)

    message = await refusal(urls.migration, tmp_path)

    assert "tenantry_migrator owns tables or belongs to their owner; fix: connect as tenantry_app" == message


async def test_owner_of_a_table_is_refused(clone: DatabaseUrls, tmp_path: Path) -> None:
    """The runtime role that owns a table could switch its policy off."""
    with psycopg.connect(clone.conninfo) as admin:
        admin.execute("ALTER TABLE projects OWNER TO tenantry_app")

    message = await refusal(clone.runtime, tmp_path)

    assert "tenantry_app owns tables or belongs to their owner; fix: connect as tenantry_app" == message


async def test_superuser_in_disguise_is_refused(clone: DatabaseUrls, tmp_path: Path) -> None:
    """A superuser that only acts as the runtime role could stop acting, so it is refused as well."""
    url = clone.admin.update_query_dict({"options": "-c role=tenantry_app"})

    message = await refusal(url.render_as_string(hide_password=False), tmp_path)

    assert f"{clone.admin.username} is a superuser" in message


async def test_database_behind_is_not_ready(clone: DatabaseUrls, tmp_path: Path) -> None:
    """On a database at an older migration readiness is 503 and says what to run; the process is alive."""
    with psycopg.connect(clone.conninfo) as admin:
        admin.execute("UPDATE alembic_version SET version_num = '0001'")

    async with booted(clone.runtime, tmp_path) as client:
        ready, live = await client.get("/health/ready"), await client.get("/health/live")

    assert (503, 200) == (ready.status_code, live.status_code)
    assert "the database is at 0001" in ready.text
    assert "run `tenantry database upgrade`" in ready.text


async def test_empty_database_is_not_ready(empty: DatabaseUrls, tmp_path: Path) -> None:
    """A database that was never migrated is not ready, and the answer says what to run; the process is alive."""
    async with booted(empty.runtime, tmp_path) as client:
        ready, live = await client.get("/health/ready"), await client.get("/health/live")

    assert (503, 200) == (ready.status_code, live.status_code)
    assert "the database is at no migration" in ready.text
    assert "run `tenantry database upgrade`" in ready.text
