import asyncio
from typing import Any
from uuid import UUID

import pytest

from tenantry.security.permissions import Role
from tenantry.testing import Account, Api, TenantHandle, problem


async def made(api: Api, by: Account, name: str = "Robot", role: str = "member") -> dict[str, Any]:
    response = await api.as_(by).post("/service-accounts", json={"name": name, "role": role})
    assert 201 == response.status_code, response.text
    account: dict[str, Any] = response.json()
    return account


async def test_life_of_a_service_account(api: Api, acme: TenantHandle) -> None:
    """It is created in a role, seen, renamed, promoted and deleted; each answer is what is stored."""
    admin = api.as_(acme.admin)
    created = await made(api, acme.admin)
    path = f"/service-accounts/{created['id']}"
    got = await admin.get(path)
    changed = await admin.patch(path, json={"name": "Android", "role": "admin"})
    listed = await admin.get("/service-accounts", params={"include_total": True})
    deleted = await admin.delete(path)
    after = [await admin.get(path), await admin.patch(path, json={"role": "viewer"}), await admin.delete(path)]

    assert ("Robot", "member") == (created["name"], created["role"])
    assert created == got.json()
    assert ("Android", "admin") == (changed.json()["name"], changed.json()["role"])
    assert ([changed.json()], 1) == (listed.json()["items"], listed.json()["total"])
    assert 204 == deleted.status_code
    assert [problem(404, "service_account_not_found")] * 3 == after


async def test_pages_carry_roles(api: Api, acme: TenantHandle) -> None:
    """Each item of each page has its own role."""
    roles = {"a": "viewer", "b": "member", "c": "admin"}
    for name, role in roles.items():
        await made(api, acme.owner, name, role)
    items, cursor = [], None
    for _ in range(2):
        query = {"sort": "name", "limit": 2, **({"cursor": cursor} if cursor else {})}
        page = (await api.as_(acme.admin).get("/service-accounts", params=query)).json()
        items += page["items"]
        cursor = page["next_cursor"]

    assert list(roles.items()) == [(item["name"], item["role"]) for item in items]
    assert cursor is None


async def test_names_are_unique_in_a_tenant(api: Api, acme: TenantHandle, globex: TenantHandle) -> None:
    """A name that another account has is refused at creation and at a change; another tenant can have it as well."""
    await made(api, acme.admin)
    second = await made(api, acme.admin, "Second")
    again = await api.as_(acme.admin).post("/service-accounts", json={"name": "Robot", "role": "viewer"})
    renamed = await api.as_(acme.admin).patch(f"/service-accounts/{second['id']}", json={"name": "Robot"})
    elsewhere = await made(api, globex.admin)

    assert problem(409, "service_account_name_taken") == again
    assert problem(409, "service_account_name_taken") == renamed
    assert "Robot" == elsewhere["name"]


async def test_only_a_person_owns(api: Api, acme: TenantHandle) -> None:
    """Not even an owner can make a service account an owner."""
    account = await made(api, acme.owner)
    created = await api.as_(acme.owner).post("/service-accounts", json={"name": "Owner", "role": "owner"})
    promoted = await api.as_(acme.owner).patch(f"/service-accounts/{account['id']}", json={"role": "owner"})
    listed = await api.as_(acme.owner).get("/service-accounts")

    assert problem(409, "owner_is_a_person") == created
    assert problem(409, "owner_is_a_person") == promoted
    assert [account] == listed.json()["items"]


@pytest.mark.parametrize("role", [Role.viewer, Role.member])
async def test_only_admins_see_and_make_them(api: Api, acme: TenantHandle, role: Role) -> None:
    """Whoever is less than an admin is refused, and learns which permission is missing."""
    somebody = api.as_(acme.accounts[role])
    seen = await somebody.get("/service-accounts")
    created = await somebody.post("/service-accounts", json={"name": "Robot", "role": "viewer"})

    assert problem(403, "permission_missing", permission="service-accounts:read") == seen
    assert problem(403, "permission_missing", permission="service-accounts:write") == created


async def test_nobody_reaches_beyond_themselves(api: Api, acme: TenantHandle) -> None:
    """A key that may write accounts and little else gives nobody a role with more, and takes none with more away."""
    held = ["service-accounts:write", "service-accounts:read", "tenants:read"]
    narrow = api.bearing((await acme.key(acme.owner.id, held)).text)
    member = await made(api, acme.owner)
    path = f"/service-accounts/{member['id']}"
    answers = [
        await narrow.post("/service-accounts", json={"name": "Mine", "role": "member"}),
        await narrow.patch(path, json={"role": "viewer"}),
        await narrow.delete(path),
    ]
    kept = await api.as_(acme.owner).get(path)

    assert [problem(403, "permission_not_held", role="member")] * 3 == answers
    assert member == kept.json()


async def test_a_person_is_no_service_account(api: Api, acme: TenantHandle) -> None:
    """By these routes nobody demotes or removes a member who is a person."""
    path = f"/service-accounts/{acme.member.id}"
    owner = api.as_(acme.owner)
    answers = [await owner.get(path), await owner.patch(path, json={"role": "viewer"}), await owner.delete(path)]
    (mine,) = (await api.as_(acme.member).get("/tenants")).json()["items"]

    assert [problem(404, "service_account_not_found")] * 3 == answers
    assert "member" == mine["role"]


async def test_deletion_takes_the_keys_along(api: Api, acme: TenantHandle) -> None:
    """With the account its keys are gone, and open nothing from the next request on."""
    account = await made(api, acme.admin)
    key = await acme.key(UUID(account["id"]), ["tenants:read"])
    before = await api.bearing(key.text).get("/tenants/current")
    deleted = await api.as_(acme.admin).delete(f"/service-accounts/{account['id']}")
    after = await api.bearing(key.text).get("/tenants/current")

    assert [200, 204] == [before.status_code, deleted.status_code]
    assert problem(401, "invalid_api_key") == after


@pytest.mark.parametrize("role", ["nobody", "Member", ""])
async def test_unknown_roles(api: Api, acme: TenantHandle, role: str) -> None:
    """A role that the tenant does not have is named as the fault, and no account is left without one."""
    response = await api.as_(acme.owner).post("/service-accounts", json={"name": "Robot", "role": role})
    listed = await api.as_(acme.owner).get("/service-accounts")

    assert 422 == response.status_code
    assert ["/role"] == [fault["pointer"] for fault in response.json()["errors"]]
    assert [] == listed.json()["items"]


async def test_two_of_one_name_at_once(api: Api, acme: TenantHandle) -> None:
    """Of two that are created at the same moment one wins, and the other leaves nothing."""
    body = {"name": "Robot", "role": "member"}
    answers = await asyncio.gather(*(api.as_(acme.admin).post("/service-accounts", json=body) for _ in range(4)))
    listed = await api.as_(acme.admin).get("/service-accounts")

    assert [201, 409, 409, 409] == sorted(answer.status_code for answer in answers)
    assert 1 == len(listed.json()["items"])
