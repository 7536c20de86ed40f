"""What memberships say of their role and tenant is derived by the database, whatever a statement writes."""

import asyncio
from typing import Any

import psycopg
import pytest
from sqlalchemy import make_url, text

from features.roles.tests.factories import ASSIGN, CustomRoleFactory, role_of
from tenantry.config import Settings
from tenantry.ids import new_id
from tenantry.testing import TenantHandle, World
from tenantry.testing.databases import conninfo

READ, WRITE = "projects:read", "projects:write"
DERIVED = text("SELECT user_id, permissions, tenant_status, tenant_plan FROM memberships ORDER BY user_id")
FORGE = "UPDATE memberships SET permissions = '{projects:write}', tenant_status = 'active', tenant_plan = 'forged'"
FORGE_NEW = text(
    "INSERT INTO memberships (id, user_id, role, permissions, tenant_status, tenant_plan, created_at, updated_at)"
    " VALUES (:id, :user_id, 'viewer', '{projects:write}', 'active', 'forged', now(), now())"
)
CHANGES = {
    "assume": "UPDATE memberships SET role = NULL, custom_role = 'custom' WHERE user_id = %(user)s",
    "widen": "UPDATE custom_roles SET permissions = '{projects:read,projects:write}' WHERE name = 'custom'",
}


async def derived(tenant: TenantHandle) -> dict[Any, tuple[Any, ...]]:
    async with tenant.database.transaction() as unit_of_work:
        await unit_of_work.bind_tenant(tenant.id)
        return {row.user_id: tuple(row)[1:] for row in await unit_of_work.rows(DERIVED)}


async def test_nobody_writes_what_is_derived(world: World, acme: TenantHandle) -> None:
    """SQL of the service that gives permissions to members, or wakes a suspended tenant for them, changes nothing."""
    await role_of(acme, acme.member, READ)
    await acme.run(text("UPDATE tenants SET status = 'suspended', plan = 'free'"))
    before = await derived(acme)

    guest = await world.account("guest")
    await acme.run(text(FORGE))
    await acme.run(FORGE_NEW.bindparams(id=new_id(), user_id=guest.id))

    assert ([READ], "suspended", "free") == before[acme.member.id]
    assert before | {guest.id: ([], "suspended", "free")} == await derived(acme)


@pytest.mark.parametrize(("first", "second"), [("assume", "widen"), ("widen", "assume")])
async def test_role_that_changes_while_it_is_assumed(
    settings: Settings, acme: TenantHandle, first: str, second: str
) -> None:
    """Whichever comes first makes the other wait, and the membership ends with the new permissions."""
    await acme.has(CustomRoleFactory, name="custom", permissions=[READ])
    url = conninfo(make_url(settings.database_url or ""))
    values = {"user": acme.member.id}

    async with await psycopg.AsyncConnection.connect(url) as one, await psycopg.AsyncConnection.connect(url) as other:
        for connection in (one, other):
            await connection.execute("SELECT set_config('app.tenant_id', %s, false)", [str(acme.id)])
            await connection.commit()
        await one.execute(CHANGES[first], values)
        task = asyncio.create_task(other.execute(CHANGES[second], values))
        await until_it_waits(other, one)
        await one.commit()
        await asyncio.wait_for(task, 10)
        await other.commit()

    assert [READ, WRITE] == (await derived(acme))[acme.member.id][0]


async def test_rename_takes_members_along(acme: TenantHandle) -> None:
    """In one statement a role gets another name and other permissions, and its members have both."""
    await role_of(acme, acme.member, READ)
    await acme.run(text("UPDATE custom_roles SET name = 'renamed', permissions = '{projects:write}'"))
    await acme.run(ASSIGN.bindparams(role="renamed", user_id=acme.viewer.id))

    found = await derived(acme)

    assert [WRITE] == found[acme.member.id][0] == found[acme.viewer.id][0]


async def until_it_waits(waiting: "psycopg.AsyncConnection[Any]", holding: "psycopg.AsyncConnection[Any]") -> None:
    """For a lock of the other; `holding` must be free to ask."""
    async with asyncio.timeout(10):
        blocking: list[int] = []
        while holding.info.backend_pid not in blocking:
            answer = await holding.execute("SELECT pg_blocking_pids(%s)", [waiting.info.backend_pid])
            (blocking,) = await answer.fetchone() or ([],)
