"""An export has all of a tenant, nothing of another, and no secret; it costs no memory, and nothing stays of it."""

import hashlib
import io
import json
import zipfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from litestar import Litestar
from sqlalchemy import text

from features.tenants.permissions import EXPORT
from tenantry.clock import now
from tenantry.db.database import Database
from tenantry.db.migrations import head_revision
from tenantry.errors import AppError
from tenantry.feature import API_PREFIX
from tenantry.security.permissions import Role
from tenantry.security.principal import Principal
from tenantry.tenancy.export import export, exported_columns
from tenantry.tenancy.tables import owned_tables
from tenantry.testing import Api, TenantHandle, problem
from tenantry.testing.databases import DatabaseUrls
from tenantry.testing.service import LiveService
from tests.contract.test_erasure import fill

PATH = "/tenants/current/export"
MIB = 1024 * 1024
MANY = text(
    "INSERT INTO projects (id, name, description, created_at, updated_at)"
    " SELECT gen_random_uuid(), 'project ' || n, repeat(md5(n::text), 10), now(), now()"
    " FROM generate_series(1, 50000) n"
)
IN_TRANSACTION = """
SELECT pid FROM pg_stat_activity
WHERE datname = current_database() AND query LIKE '%projects%' AND pid <> pg_backend_pid() AND xact_start IS NOT NULL
"""
Admin = psycopg.Connection[Any]


@pytest.fixture
def admin(database_urls: DatabaseUrls) -> Iterator[Admin]:
    with psycopg.connect(database_urls.conninfo, autocommit=True) as connection:
        yield connection


@asynccontextmanager
async def client_of(service: LiveService, tenant: TenantHandle) -> AsyncIterator[httpx.AsyncClient]:
    """By a key of the tenant's owner: tokens name who has issued them."""
    key = await tenant.key(tenant.owner.id, ["tenants:read", "tenants:export"])
    headers = {"X-API-Key": key.text}
    url = service.url + API_PREFIX
    async with httpx.AsyncClient(base_url=url, headers=headers, trust_env=False, timeout=60) as client:
        yield client


def read(content: bytes) -> tuple[dict[str, Any], dict[str, bytes]]:
    """The manifest, and the lines by table."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        files = {name.removesuffix(".ndjson"): archive.read(name) for name in archive.namelist()}
    return json.loads(files.pop("manifest.json")), files


async def test_all_of_it_and_nothing_else(app: Litestar, api: Api, acme: TenantHandle, globex: TenantHandle) -> None:
    """Every table is in it with its digest and rows, none empty; no id of another tenant is, and no secret column."""
    for tenant in (acme, globex):
        await fill(app, api, tenant)

    answer, other = [await api.as_(tenant.owner).get(PATH) for tenant in (acme, globex)]

    manifest, files = read(answer.content)
    tables = {table.name: table for table in owned_tables()}
    rows = {name: [json.loads(line) for line in lines.splitlines()] for name, lines in files.items()}
    ids = {row["id"] for found in rows.values() for row in found}
    foreign = {json.loads(line)["id"] for lines in read(other.content)[1].values() for line in lines.splitlines()}
    text = b"".join(files.values()).decode()
    assert {"tenants", "people", *tables} == files.keys() == manifest["tables"].keys()
    assert [1, head_revision(), str(acme.id), acme.slug, acme.name] == [
        manifest[name] for name in ("format", "revision", "tenant_id", "slug", "name")
    ]
    for name, lines in files.items():
        assert {"rows": len(rows[name]), "sha256": hashlib.sha256(lines).hexdigest()} == manifest["tables"][name]
    assert [] == [name for name, found in rows.items() if not found]
    for name, table in tables.items():
        assert {str(acme.id)} == {row["tenant_id"] for row in rows[name]}
        assert {column.name for column in exported_columns(table)} == rows[name][0].keys()
    assert (set(), []) == (ids & foreign, [id for id in foreign if id in text][:3])
    assert "_hash" not in text
    assert {row["user_id"] for row in rows["memberships"]} - {None} == {row["id"] for row in rows["people"]}


async def test_is_a_download(api: Api, acme: TenantHandle) -> None:
    """Browsers save it under the tenant's name and the day; nobody keeps a copy on the way."""
    answer = await api.as_(acme.owner).get(PATH)

    assert 200 == answer.status_code
    assert "application/zip" == answer.headers["content-type"]
    assert "no-store" == answer.headers["cache-control"]
    assert f'attachment; filename="{acme.slug}-{now():%Y-%m-%d}.zip"' == answer.headers["content-disposition"]


@pytest.mark.parametrize("role", [Role.viewer, Role.member, Role.admin])
async def test_only_owners(api: Api, acme: TenantHandle, role: Role) -> None:
    """Who may not export is told so by a problem, before the first byte."""
    refused = await api.as_(acme.accounts[role]).get(PATH)

    assert problem(403, "permission_missing") == refused


async def test_programs_export(api: Api, acme: TenantHandle) -> None:
    """An API key with the scope may, although the transaction only reads; one of an owner without it may not."""
    good = await acme.key(acme.owner.id, ["tenants:read", "tenants:export"])
    narrow = await acme.key(acme.owner.id, ["tenants:read"])

    answer = await api.bearing(good.text).get(PATH)
    refused = await api.bearing(narrow.text).get(PATH)

    assert str(acme.id) == read(answer.content)[0]["tenant_id"]
    assert problem(403, "scope_missing") == refused


async def test_one_moment(database: Database, acme: TenantHandle) -> None:
    """What is written while an export runs is not in it, though its table comes later."""
    parts = export(database, acme.id)
    first = await anext(parts)
    await acme.run(MANY)

    content = first + b"".join([part async for part in parts])

    assert 0 == read(content)[0]["tables"]["projects"]["rows"]


async def test_right_lost_before_the_stream(database: Database, acme: TenantHandle) -> None:
    """The stream's own transaction asks what the request's has asked: who has lost the right since gets no row."""
    principal = Principal(acme.member.id, acme.member.session_id, acme.id)
    parts = export(database, acme.id, by=principal, permission=EXPORT)

    with pytest.raises(AppError) as refused:
        await anext(parts)

    assert "permission_missing" == refused.value.code


def resident(service: LiveService) -> int:
    """Bytes of memory that the process has at this moment."""
    status = Path(f"/proc/{service.process.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024


async def test_memory_stays(live_service: LiveService, acme: TenantHandle) -> None:
    """50,000 rows take no more memory than a few batches of them."""
    await acme.run(MANY)
    most = size = 0
    async with client_of(live_service, acme) as client:
        await client.get("/tenants/current")
        before = resident(live_service)
        async with client.stream("GET", PATH) as answer:
            async for part in answer.aiter_bytes():
                size, most = size + len(part), max(most, resident(live_service))

    assert size > MIB
    assert most - before < 30 * MIB


async def test_leaving_early(live_service: LiveService, acme: TenantHandle, admin: Admin) -> None:
    """Clients that go in the middle leave no transaction behind, and take nobody's turn."""
    await acme.run(MANY)
    async with client_of(live_service, acme) as client:
        for _ in range(8):
            async with client.stream("GET", PATH) as answer:
                await anext(answer.aiter_bytes())
        whole = await client.get(PATH)

    assert 50_000 == read(whole.content)[0]["tables"]["projects"]["rows"]
    assert [] == admin.execute(IN_TRANSACTION).fetchall()


async def test_failing_amid_the_stream(live_service: LiveService, acme: TenantHandle, admin: Admin) -> None:
    """The transfer breaks, so that nobody takes what has come by then for the whole."""
    await acme.run(MANY)
    ended: list[int] = []

    async def end_its_transaction() -> None:
        async with client.stream("GET", PATH) as answer:
            async for _ in answer.aiter_bytes():
                for (pid,) in admin.execute(IN_TRANSACTION).fetchall():
                    ended.append(pid)
                    admin.execute("SELECT pg_terminate_backend(%s)", [pid])

    async with client_of(live_service, acme) as client:
        with pytest.raises(httpx.RemoteProtocolError):
            await end_its_transaction()

    assert ended
