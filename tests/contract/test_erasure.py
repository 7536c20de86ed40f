"""The erasure of a tenant leaves nothing of it, everything of the others, and evidence."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import jwt
import psycopg
import pytest
from litestar import Litestar
from psycopg import sql
from sqlalchemy import text

from tenantry.clock import frozen_at, now
from tenantry.db.database import Database
from tenantry.http.policy import Allow
from tenantry.ids import new_id
from tenantry.security.plugin import SecurityPlugin
from tenantry.security.tokens import InvalidToken, TokenService
from tenantry.tenancy.erasure import REPORT_TYPE, ErasureIncomplete, TenantNotDue, erase
from tenantry.tenancy.tables import owned_tables
from tenantry.testing import Api, TenantHandle, problem
from tenantry.testing.databases import DatabaseUrls
from tests.isolation.leaks import factories_for
from tests.isolation.operations import Contract

ROBOT = (
    (
        "INSERT INTO custom_roles (id, name, description, permissions, created_at, updated_at)"
        " VALUES (:id, 'robot', '', '{projects:read}', now(), now())"
    ),
    "INSERT INTO service_accounts (id, name, created_at, updated_at) VALUES (:id, 'robot', now(), now())",
    (
        "INSERT INTO memberships (id, service_account_id, custom_role, created_at, updated_at)"
        " VALUES (:id, :id, 'robot', now(), now())"
    ),
    (
        "INSERT INTO api_keys (id, subject_id, name, hint, secret_hash, scopes, created_by, created_at, updated_at)"
        " VALUES (:id, :id, 'robot', '', 'hash', '{projects:read}', :id, now(), now())"
    ),
)
MANY = text(
    "INSERT INTO projects (id, name, description, created_at, updated_at)"
    " SELECT gen_random_uuid(), 'project ' || n, '', now(), now() FROM generate_series(1, 2500) n"
)


@pytest.fixture
def tokens(app: Litestar) -> TokenService:
    return app.plugins.get(SecurityPlugin).tokens


@pytest.fixture
def admin(database_urls: DatabaseUrls) -> Iterator["psycopg.Connection[Any]"]:
    """No policy holds for it."""
    with psycopg.connect(database_urls.conninfo, autocommit=True) as connection:
        yield connection


async def fill(app: Litestar, api: Api, tenant: TenantHandle) -> None:
    """A row through every operation of the tenant that makes one, and in every table."""
    contract = Contract(app)
    for operation in contract.operations:
        if operation.method == "POST" and not operation.parameters and isinstance(operation.policy, Allow):
            await contract.call(api.as_(tenant.owner), operation, headers={"Idempotency-Key": str(new_id())})
    for table in owned_tables():
        for factory in factories_for(table.name):
            await tenant.has(factory)
    id = new_id()
    for statement in ROBOT:
        await tenant.run(text(statement).bindparams(id=id))
    await tenant.run(MANY)


def counts(admin: "psycopg.Connection[Any]", tenant: TenantHandle) -> dict[str, int]:
    found = {}
    for table in owned_tables():
        query = sql.SQL("SELECT count(*) FROM {} WHERE tenant_id = %s").format(sql.Identifier(table.name))
        found[table.name] = admin.execute(query, [tenant.id]).fetchall()[0][0]
    return found


async def due(tenant: TenantHandle) -> None:
    await tenant.run(text("UPDATE tenants SET status = 'deleting', erase_after = now() - interval '1 second'"))


async def test_nothing_is_left(
    app: Litestar, api: Api, database: Database, tokens: TokenService, admin: "psycopg.Connection[Any]",
    acme: TenantHandle, globex: TenantHandle,
) -> None:  # fmt: skip
    """Each table is emptied of the tenant, in batches, and no other tenant loses a row; the signed report says so."""
    for tenant in (acme, globex):
        await fill(app, api, tenant)
    before, others = counts(admin, acme), counts(admin, globex)
    await due(acme)

    report = await erase(database, acme.id, tokens)

    stored = admin.execute("SELECT report FROM erasures WHERE id = %s", [acme.id]).fetchall()
    claims = jwt.decode(report, tokens.keys.signing.public, algorithms=["EdDSA"])
    tables = [table.name for table in owned_tables()]
    mentioned = admin.execute("SELECT 1 FROM sessions WHERE tenant_id = %s", [acme.id]).fetchall()
    assert [] == [table for table in tables if not before[table]]
    assert {**before, "tenants": 1} == claims["deleted"]
    assert dict.fromkeys(tables, 0) == counts(admin, acme)
    assert (
        dict.fromkeys(sorted([*tables, "login_challenges", "sessions", "sso_domains", "sso_flows"]), 0)
        == claims["remaining"]
    )
    assert others == counts(admin, globex)
    assert ([(report,)], []) == (stored, mentioned)
    assert str(acme.id) == claims["tenant"]
    assert 4 <= claims["cleared"]["sessions.tenant_id"]


async def test_people_stay(api: Api, database: Database, tokens: TokenService, acme: TenantHandle) -> None:
    """The erasure of a tenant takes away nobody's account: it is one tenant less that they belong to."""
    await due(acme)
    await erase(database, acme.id, tokens)

    mine = await api.as_(acme.owner).get("/tenants")
    refused = await api.as_(acme.owner).get("/projects")

    assert (200, []) == (mine.status_code, mine.json()["items"])
    assert problem(403, "not_a_member") == refused


@pytest.mark.asvs("9.2.2", "9.2.4")
async def test_report_is_no_credential(tokens: TokenService, database: Database, acme: TenantHandle) -> None:
    """What is signed with the key of the tokens opens nothing."""
    await due(acme)
    report = await erase(database, acme.id, tokens)

    assert REPORT_TYPE == jwt.get_unverified_header(report)["typ"]
    with pytest.raises(InvalidToken):
        tokens.verify(report.encode())


async def test_only_what_is_due(api: Api, database: Database, tokens: TokenService, acme: TenantHandle) -> None:
    """An active tenant is not erased, nor one that can still be restored; nothing of it is lost."""
    with pytest.raises(TenantNotDue):
        await erase(database, acme.id, tokens)
    await api.as_(acme.owner).delete("/tenants/current")
    with pytest.raises(TenantNotDue):
        await erase(database, acme.id, tokens)
    restored = await api.as_(acme.owner).post(f"/tenants/{acme.id}/restore")
    await api.as_(acme.owner).delete("/tenants/current")
    with frozen_at(now() + timedelta(days=31)):
        await erase(database, acme.id, tokens)

    assert 200 == restored.status_code


async def test_an_unknown_table_stops_it(
    database: Database, tokens: TokenService, admin: "psycopg.Connection[Any]", acme: TenantHandle
) -> None:
    """Rows in a table that no model knows keep the tenant from counting as erased, until they are gone as well."""
    await due(acme)
    admin.execute("CREATE TABLE forgotten (tenant_id uuid)")
    try:
        admin.execute("GRANT SELECT ON forgotten TO tenantry_app")
        admin.execute("INSERT INTO forgotten VALUES (%s)", [acme.id])
        with pytest.raises(ErasureIncomplete, match="'forgotten': 1"):
            await erase(database, acme.id, tokens)
        kept = admin.execute("SELECT status, erase_after FROM tenants WHERE id = %s", [acme.id]).fetchall()
    finally:
        admin.execute("DROP TABLE forgotten")
    await erase(database, acme.id, tokens)

    assert [("deleting", None)] == kept
