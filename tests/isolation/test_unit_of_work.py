"""One transaction, one tenant: whatever happens to a request, its tenant stays in it and leaves with it."""

import asyncio
import gc
import random
import warnings
from contextlib import AsyncExitStack
from typing import Any

import httpx
import psycopg
import pytest
from litestar import Litestar
from sqlalchemy import delete, exists, func, insert, literal, select, text, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import aliased
from sqlalchemy.pool import QueuePool

from tenantry.db.base import Base
from tenantry.db.database import Database
from tenantry.db.denials import SerializationFailure
from tenantry.db.plugin import DatabasePlugin
from tenantry.db.session import TenantNotBound
from tenantry.ids import new_id
from tenantry.testing import Api, TenantHandle
from tests.isolation.catalogue import metadata_tables

TABLES = sorted(metadata_tables())
USERS, TENANTS = Base.metadata.tables["users"], Base.metadata.tables["tenants"]
STATEMENTS: dict[str, Any] = {
    "select": lambda table: select(table),
    "count": lambda table: select(func.count()).select_from(table),
    "alias": lambda table: select(aliased(table).c.id),
    "subquery": lambda table: select(select(table.c.id).subquery()),
    "common table expression": lambda table: select(select(table.c.id).cte().c.id),
    "exists": lambda table: select(exists().where(table.c.id == new_id())),
    "union": lambda table: select(USERS.c.id).union(select(table.c.id)),
    "join": lambda table: select(USERS.c.id).join(table, literal(True)),
    "other table in WHERE": lambda table: select(USERS.c.id).where(USERS.c.id == table.c.id),
    "insert": lambda table: insert(table).values(id=new_id()),
    "insert from select": lambda table: insert(USERS).from_select(["id"], select(table.c.id)),
    "update": lambda table: update(table).values(id=new_id()),
    "update from": lambda table: update(USERS).values(name="x").where(USERS.c.id == table.c.id),
    "update with subquery": lambda table: update(USERS).values(id=select(table.c.id).scalar_subquery()),
    "delete": lambda table: delete(table),
    "delete using": lambda table: delete(USERS).where(USERS.c.id == table.c.id),
    "delete using a subquery": lambda table: delete(USERS).where(USERS.c.id == select(table.c.id).subquery().c.id),
    "returning": lambda table: delete(USERS).returning(select(table.c.id).scalar_subquery()),
    "text": lambda table: text(f'TABLE public."{table.name}"'),
}


@pytest.fixture
def engine(app: Litestar) -> AsyncEngine:
    return app.plugins.get(DatabasePlugin).engine


def pool_of(engine: AsyncEngine) -> QueuePool:
    assert isinstance(engine.pool, QueuePool)
    return engine.pool


async def bindings(engine: AsyncEngine) -> set[str | None]:
    """What every connection of the pool says of tenant and user, all held at the same moment."""
    found: set[str | None] = set()
    async with AsyncExitStack() as stack:
        for _ in range(pool_of(engine).size()):
            connection = await stack.enter_async_context(engine.connect())
            for name in ("app.tenant_id", "app.user_id"):
                found.add(await connection.scalar(select(func.current_setting(name, True))))
    return found


async def settled(engine: AsyncEngine) -> int:
    """Connections in use once what was cancelled has had time to end."""
    for _ in range(100):
        if not pool_of(engine).checkedout():
            break
        await asyncio.sleep(0.05)
    return pool_of(engine).checkedout()


@pytest.mark.parametrize("kind", STATEMENTS)
@pytest.mark.parametrize("table", TABLES)
async def test_no_tenant_no_statement(database: Database, table: str, kind: str) -> None:
    """Without a tenant a statement that touches a tenant's table in any way is an error, not an empty answer."""
    statement = STATEMENTS[kind](Base.metadata.tables[table])

    with pytest.raises(TenantNotBound, match=table):
        async with database.transaction() as unit_of_work:
            await unit_of_work.execute(statement)


async def test_own_rows_need_no_tenant(database: Database, acme: TenantHandle) -> None:
    """Whoever has proven who they are reads their own memberships, and nobody else's."""
    memberships = Base.metadata.tables["memberships"]
    async with database.transaction() as unit_of_work:
        await unit_of_work.bind_user(acme.viewer.id)
        rows = await unit_of_work.rows(select(memberships.c.tenant_id, memberships.c.user_id))

    assert [(acme.id, acme.viewer.id)] == [tuple(row) for row in rows]


async def test_ended_unit_of_work_takes_no_statement(database: Database, acme: TenantHandle) -> None:
    """What runs after the commit would run without a tenant, so it is an error."""
    async with database.transaction() as unit_of_work:
        await unit_of_work.bind_tenant(acme.id)

    with pytest.raises(RuntimeError, match="has ended"):
        await unit_of_work.rows(select(TENANTS.c.id))


@pytest.mark.parametrize("table", TABLES)
async def test_row_cannot_be_given_to_another_tenant(acme: TenantHandle, globex: TenantHandle, table: str) -> None:
    """An insert that names another tenant fails, before any other fault of the row is looked at."""
    statement = insert(Base.metadata.tables[table]).values(tenant_id=globex.id, id=new_id())

    with pytest.raises(DBAPIError) as error:
        await acme.run(statement)

    assert isinstance(error.value.orig, psycopg.errors.InsufficientPrivilege)
    assert "row-level security" in str(error.value.orig)


async def test_rows_cannot_be_moved(database: Database, acme: TenantHandle, globex: TenantHandle) -> None:
    """An update that names another tenant fails, and one tenant's updates and deletes reach no row of another."""
    async with database.transaction() as unit_of_work:
        await unit_of_work.bind_tenant(acme.id)
        tenants = update(TENANTS).where(TENANTS.c.id == globex.id).values(name="Taken")
        reached = [await unit_of_work.execute(tenants)]
        for table in map(Base.metadata.tables.__getitem__, TABLES):
            foreign = table.c.tenant_id == globex.id
            reached.append(await unit_of_work.execute(update(table).where(foreign).values(tenant_id=acme.id)))
            reached.append(await unit_of_work.execute(delete(table).where(foreign)))
    moving = update(Base.metadata.tables["memberships"]).values(tenant_id=globex.id)

    assert {0} == set(reached)
    with pytest.raises(DBAPIError, match="row-level security"):
        await acme.run(moving)


async def test_requests_leave_no_tenant_behind(
    api: Api, engine: AsyncEngine, acme: TenantHandle, globex: TenantHandle
) -> None:
    """After requests of all kinds of outcome, no connection of the pool remembers a tenant or a user."""
    paths = ("/projects", "/tenants", f"/projects/{new_id()}", "/projects?sort=-nothing", "/me")
    callers = (acme.owner, globex.viewer)
    await asyncio.gather(*(api.as_(caller).get(path) for path in paths for caller in callers for _ in range(5)))

    assert 0 == await settled(engine)
    assert await bindings(engine) <= {None, ""}


async def test_tenants_at_once_never_mix(api: Api, acme: TenantHandle, globex: TenantHandle) -> None:
    """Of 200 requests at once through five connections, each answers its own tenant's rows and no other."""

    async def visit(number: int) -> tuple[str, set[str]]:
        tenant = (acme, globex)[number % 2]
        client = api.as_((tenant.owner, tenant.member)[number % 3 % 2])
        if number % 4 < 2:
            name = f"{tenant.slug} {number}"
            return tenant.slug, {(await patient(client, "POST", "/projects", json={"name": name})).json()["name"]}
        answer = await patient(client, "GET", "/projects?limit=200")
        return tenant.slug, {project["name"] for project in answer.json()["items"]}

    visits = await asyncio.gather(*(visit(number) for number in range(200)))
    listed = [(await api.as_(tenant.viewer).get("/projects?limit=200")).json()["items"] for tenant in (acme, globex)]

    assert [] == [(slug, name) for slug, names in visits for name in names if not name.startswith(slug)]
    assert [50, 50] == [len(items) for items in listed]


async def patient(api: Api, method: str, path: str, **options: Any) -> httpx.Response:
    """On a slow machine the pool asks some to come again."""
    for _ in range(100):
        response = await api.request(method, path, **options)
        if response.status_code != 503:
            break
        await asyncio.sleep(0.1)
    assert response.is_success, response.text
    return response


@pytest.mark.parametrize("insisting", [False, True], ids=["once", "insisting"])
async def test_cancelled_requests_leave_nothing_behind(
    api: Api, engine: AsyncEngine, acme: TenantHandle, globex: TenantHandle, insisting: bool
) -> None:
    """After 200 requests cancelled at any moment all connections are back, by themselves, and free of tenants."""
    with warnings.catch_warnings(record=True) as caught:
        # SQLAlchemy warns of a connection that only the garbage collector gives back.
        warnings.simplefilter("always")
        for start in range(0, 200, 10):
            clients = [api.as_((acme, globex)[number % 2].member) for number in range(10)]
            await asyncio.gather(*(cut_short(client, start + n, insisting) for n, client in enumerate(clients)))
        in_use = await settled(engine)
        gc.collect()
    answers = await asyncio.gather(*(api.as_(acme.viewer).get("/tenants/current") for _ in range(20)))

    assert [] == [str(warning.message) for warning in caught]
    assert 0 == in_use
    assert await bindings(engine) <= {None, ""}
    assert {(200, str(acme.id))} == {(answer.status_code, answer.json()["id"]) for answer in answers}


async def cut_short(api: Api, number: int, insisting: bool) -> None:
    """Cancel a request once, or over and over until it ends, as anyio's cancel scopes do."""
    method, path = [("POST", "/projects"), ("GET", "/projects"), ("GET", f"/projects/{new_id()}")][number % 3]
    body = {"json": {"name": f"Apollo {number}"}} if method == "POST" else {}
    task = asyncio.create_task(api.request(method, path, **body))
    await asyncio.sleep(random.random() * 0.04)
    for _ in range(10_000 if insisting else 1):
        if not task.cancel():
            break
        await asyncio.sleep(0)
    await asyncio.wait([task])


async def test_what_is_committed_is_not_repeated(database: Database, acme: TenantHandle) -> None:
    """A conflict asks for the whole request again, unless somebody caught it and the rest has been committed."""
    projects = Base.metadata.tables["projects"]
    work = database.unit_of_work()
    await work.bind_tenant(acme.id)
    with pytest.raises(SerializationFailure):
        await work.write(delete(projects).where(projects.c.id == new_id()), otherwise=SerializationFailure)
    before = work.asks_for_repeat
    await work.commit()

    assert (True, False) == (before, work.asks_for_repeat)
