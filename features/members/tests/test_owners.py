import asyncio
from collections.abc import Awaitable
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from tenantry.db.database import Database
from tenantry.security.permissions import Role
from tenantry.security.principal import Principal
from tenantry.testing import Account, Api, TenantHandle, World, problem

WAITING = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()")
FORGET = text("SELECT pg_stat_clear_snapshot()")
LOCK = text("SELECT FROM tenants WHERE id = :id FOR UPDATE")


@pytest.fixture
async def heir(world: World, acme: TenantHandle) -> Account:
    """A second owner."""
    account = await world.account("heir", tenant_id=acme.id)
    await acme.admit(account, Role.owner)
    return account


async def owners(api: Api, acme: TenantHandle) -> list[str]:
    found = await api.as_(acme.viewer).get("/members", params={"role": "owner"})
    return [each["user_id"] for each in found.json()["items"]]


async def at_once(database: Database, acme: TenantHandle, *requests: Awaitable[httpx.Response]) -> list[Any]:
    """All have passed every check but the last when the first of them may go on."""
    async with database.transaction() as unit_of_work:
        await unit_of_work.bind_tenant(acme.id)
        await unit_of_work.rows(LOCK, {"id": acme.id})
        tasks = [asyncio.ensure_future(request) for request in requests]
        for _ in range(1000):
            # Else the first answer would be all that this transaction ever gets.
            await unit_of_work.rows(FORGET)
            if await unit_of_work.scalar(WAITING) == len(tasks):
                break
            await asyncio.sleep(0.01)
    return await asyncio.gather(*tasks)


async def test_anyone_leaves(api: Api, acme: TenantHandle) -> None:
    """A viewer leaves by themselves, and is no member from then on; the others stay."""
    left = await api.as_(acme.viewer).delete("/members/me")
    again = await api.as_(acme.viewer).delete("/members/me")
    refused = await api.as_(acme.viewer).get("/members")
    rest = await api.as_(acme.owner).get("/members")

    assert 204 == left.status_code
    assert problem(404, "member_not_found") == again
    assert problem(403, "not_a_member") == refused
    assert 3 == len(rest.json()["items"])


async def test_leaving_is_for_one_tenant(api: Api, world: World, acme: TenantHandle, globex: TenantHandle) -> None:
    """Whoever leaves one tenant stays in the other; a token for none has none to leave."""
    await globex.admit(acme.member, Role.viewer)
    elsewhere = world.tokens.issue(Principal(acme.member.id, acme.member.session_id, globex.id))
    nowhere = world.tokens.issue(Principal(acme.member.id, acme.member.session_id, None))

    left = await api.as_(acme.member).delete("/members/me")
    stays = await api.bearing(elsewhere).get("/members")
    nothing = await api.bearing(nowhere).delete("/members/me")

    assert (204, 200) == (left.status_code, stays.status_code)
    assert problem(409, "nothing_to_leave") == nothing


async def test_last_owner_stays(api: Api, acme: TenantHandle) -> None:
    """The only owner can neither leave, nor become less, nor be removed, not even by themselves."""
    as_owner, path = api.as_(acme.owner), f"/members/{acme.owner.id}"

    answers = [
        await as_owner.delete("/members/me"),
        await as_owner.patch(path, json={"role": "admin"}),
        await as_owner.delete(path),
    ]

    assert [problem(409, "last_owner")] * 3 == answers
    assert [str(acme.owner.id)] == await owners(api, acme)


async def test_one_of_two_owners_leaves(api: Api, acme: TenantHandle, heir: Account) -> None:
    """Where there is another owner, one may go."""
    left = await api.as_(acme.owner).delete("/members/me")

    assert 204 == left.status_code
    assert [str(heir.id)] == await owners(api, acme)


@pytest.mark.parametrize("how", ["leave", "demote the other", "demote oneself", "remove the other", "leave and demote"])
async def test_two_owners_at_once(api: Api, database: Database, acme: TenantHandle, heir: Account, how: str) -> None:
    """Of two owners who go at the same moment one does, and the other is told that they are the last."""
    first, second = api.as_(acme.owner), api.as_(heir)
    mine, other = f"/members/{acme.owner.id}", f"/members/{heir.id}"
    less = {"json": {"role": "viewer"}}
    requests = {
        "leave": lambda: (first.delete("/members/me"), second.delete("/members/me")),
        "demote the other": lambda: (first.patch(other, **less), second.patch(mine, **less)),
        "demote oneself": lambda: (first.patch(mine, **less), second.patch(other, **less)),
        "remove the other": lambda: (first.delete(other), second.delete(mine)),
        "leave and demote": lambda: (first.delete("/members/me"), second.patch(other, **less)),
    }

    answers = await at_once(database, acme, *requests[how]())

    assert 1 == sum(answer.is_success for answer in answers)
    assert [problem(409, "last_owner")] == [answer for answer in answers if not answer.is_success]
    assert 1 == len(await owners(api, acme))


async def test_transfer(api: Api, acme: TenantHandle) -> None:
    """The owner hands over to a member, in one step, and is an admin from then on."""
    handed = await api.as_(acme.owner).post(f"/members/{acme.member.id}/transfer-ownership")
    before = await api.as_(acme.viewer).get(f"/members/{acme.owner.id}")
    again = await api.as_(acme.owner).post(f"/members/{acme.member.id}/transfer-ownership")

    assert (200, str(acme.member.id), "owner") == (handed.status_code, *(handed.json()[k] for k in ("user_id", "role")))
    assert "admin" == before.json()["role"]
    assert [str(acme.member.id)] == await owners(api, acme)
    assert problem(403, "permission_missing", permission="members:transfer") == again


async def test_only_owners_transfer(api: Api, acme: TenantHandle) -> None:
    """An admin has nothing to hand over, nor a role of all permissions; nobody hands over to themselves."""
    everything = "SELECT array_agg(permission) FROM role_permissions WHERE role = 'owner'"
    role = "INSERT INTO custom_roles (id, name, description, permissions, created_at, updated_at)"
    await acme.run(text(f"{role} VALUES (gen_random_uuid(), 'deputy', '', ({everything}), now(), now())"))
    deputised = await api.as_(acme.owner).patch(f"/members/{acme.member.id}", json={"role": "deputy"})

    by_admin = await api.as_(acme.admin).post(f"/members/{acme.admin.id}/transfer-ownership")
    by_deputy = await api.as_(acme.member).post(f"/members/{acme.admin.id}/transfer-ownership")
    to_self = await api.as_(acme.owner).post(f"/members/{acme.owner.id}/transfer-ownership")

    assert 200 == deputised.status_code
    assert problem(403, "permission_missing", permission="members:transfer") == by_admin
    assert problem(403, "not_an_owner") == by_deputy
    assert problem(409, "transfer_to_yourself") == to_self
    assert [str(acme.owner.id)] == await owners(api, acme)


async def test_transfers_at_once(api: Api, acme: TenantHandle, heir: Account) -> None:
    """Owners who hand over to each other and to a third at the same moment meet no error of the database."""
    answers = await asyncio.gather(
        api.as_(acme.owner).post(f"/members/{heir.id}/transfer-ownership"),
        api.as_(heir).post(f"/members/{acme.owner.id}/transfer-ownership"),
        api.as_(acme.owner).post(f"/members/{acme.admin.id}/transfer-ownership"),
    )

    assert {answer.status_code for answer in answers} <= {200, 403}
    assert any(answer.is_success for answer in answers)
    assert [] != await owners(api, acme)
