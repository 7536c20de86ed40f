from uuid import UUID

import pytest
from sqlalchemy import select, text

from features.members.models import MemberRow
from tenantry.db.database import Database
from tenantry.db.session import TenantNotBound
from tenantry.ids import new_id
from tenantry.security.permissions import Role
from tenantry.testing import Account, Api, TenantHandle, World, problem


async def named(api: Api, world: World, tenant: TenantHandle, name: str) -> Account:
    """A member with exactly this name."""
    account = await world.account()
    await tenant.admit(account, Role.viewer)
    await tenant.run(text("UPDATE users SET name = :name WHERE id = :id").bindparams(name=name, id=account.id))
    return account


async def service_account(tenant: TenantHandle) -> UUID:
    """With its membership."""
    id = new_id()
    values = "(id, name, created_at, updated_at) VALUES (:id, 'ci', now(), now())"
    await tenant.run(text(f"INSERT INTO service_accounts {values}").bindparams(id=id))
    values = "(id, service_account_id, role, created_at, updated_at) VALUES (:id, :id, 'member', now(), now())"
    await tenant.run(text(f"INSERT INTO memberships {values}").bindparams(id=id))
    return id


async def test_list_and_get(api: Api, acme: TenantHandle) -> None:
    """A viewer sees who belongs to the tenant, newest first, each with name, address and role."""
    await service_account(acme)

    listed = await api.as_(acme.viewer).get("/members", params={"include_total": True})
    owner = await api.as_(acme.viewer).get(f"/members/{acme.owner.id}")

    people = [(str(acme.accounts[role].id), acme.accounts[role].email, role.name) for role in reversed(Role)]
    assert people == [(each["user_id"], each["email"], each["role"]) for each in listed.json()["items"]]
    assert 4 == listed.json()["total"]
    assert listed.json()["items"][0] == owner.json()
    assert {"user_id", "name", "email", "role", "created_at"} == owner.json().keys()


async def test_pages_are_whole(api: Api, acme: TenantHandle) -> None:
    """Page by page, in both orders, everyone comes once."""
    for sort in ("created_at", "-created_at"):
        seen, cursor = [], None
        while True:
            params = {"limit": 3, "sort": sort} | ({"cursor": cursor} if cursor else {})
            page = (await api.as_(acme.viewer).get("/members", params=params)).json()
            seen += [each["role"] for each in page["items"]]
            if (cursor := page["next_cursor"]) is None:
                break

        expected = [role.name for role in Role]
        assert (expected if sort == "created_at" else expected[::-1]) == seen


@pytest.mark.parametrize(
    ("q", "found"),
    [("100%", ["100% Olu"]), ("OLU_", ["olu_b"]), ("olu", ["100% Olu", "olu_b", "oluxb"]), ("/", []), ("\\", [])],
)
async def test_search_takes_signs_as_they_are(
    api: Api, world: World, acme: TenantHandle, q: str, found: list[str]
) -> None:
    """`%`, `_` and the escape sign mean themselves, and case means nothing."""
    for name in ("100% Olu", "olu_b", "oluxb", "1000 Grace"):
        account = await named(api, world, acme, name)
        await acme.run(
            text("UPDATE users SET email = :email WHERE id = :id").bindparams(
                email=f"x{account.id.hex}@example.com", id=account.id
            )
        )

    response = await api.as_(acme.viewer).get("/members", params={"search": q, "sort": "created_at"})

    assert found == [each["name"] for each in response.json()["items"]]


async def test_search_by_address_and_role(api: Api, acme: TenantHandle) -> None:
    """Part of an address finds its member; a role finds those who have it, a custom one too."""
    await acme.run(
        text(
            "INSERT INTO custom_roles (id, name, description, permissions, created_at, updated_at)"
            " VALUES (:id, 'auditor', '', '{members:read}', now(), now())"
        ).bindparams(id=new_id())
    )
    as_owner = api.as_(acme.owner)

    address = await as_owner.get("/members", params={"search": acme.member.email.upper()[:24]})
    changed = await as_owner.patch(f"/members/{acme.member.id}", json={"role": "auditor"})
    auditors = await as_owner.get("/members", params={"role": "auditor", "include_total": True})
    both = await as_owner.get("/members", params={"role": "auditor", "search": "nobody"})

    assert [acme.member.email] == [each["email"] for each in address.json()["items"]]
    assert (200, "auditor") == (changed.status_code, changed.json()["role"])
    assert [changed.json()] == auditors.json()["items"]
    assert 1 == auditors.json()["total"]
    assert [] == both.json()["items"]


async def test_view_shows_one_tenant(
    database: Database, world: World, acme: TenantHandle, globex: TenantHandle
) -> None:
    """What members are read from shows those of the bound tenant, although the table of people is nobody's."""
    await globex.admit(acme.owner, Role.viewer)
    async with database.transaction() as unit_of_work:
        await unit_of_work.bind_user(acme.owner.id)
        await unit_of_work.bind_tenant(globex.id)
        seen = await unit_of_work.rows(select(MemberRow.tenant_id, MemberRow.id))

    assert {globex.id} == {row.tenant_id for row in seen}
    assert {acme.owner.id, *(account.id for account in globex.accounts.values())} == {row.id for row in seen}
    async with database.transaction() as unit_of_work:
        await unit_of_work.bind_user(acme.owner.id)
        with pytest.raises(TenantNotBound, match="members"):
            await unit_of_work.rows(select(MemberRow.id))


async def test_admin_changes_and_removes(api: Api, acme: TenantHandle) -> None:
    """An admin makes a viewer a member and removes a member, whose next request is refused."""
    as_admin = api.as_(acme.admin)

    changed = await as_admin.patch(f"/members/{acme.viewer.id}", json={"role": "member"})
    removed = await as_admin.delete(f"/members/{acme.member.id}")
    gone = await as_admin.get(f"/members/{acme.member.id}")
    refused = await api.as_(acme.member).get("/members")

    assert (200, "member") == (changed.status_code, changed.json()["role"])
    assert 204 == removed.status_code
    assert problem(404, "member_not_found") == gone
    assert problem(403, "not_a_member") == refused


async def test_nobody_reaches_above_themselves(api: Api, acme: TenantHandle) -> None:
    """An admin can neither make an owner nor touch one; a member changes nobody."""
    as_admin, as_member = api.as_(acme.admin), api.as_(acme.member)

    made = await as_admin.patch(f"/members/{acme.member.id}", json={"role": "owner"})
    demoted = await as_admin.patch(f"/members/{acme.owner.id}", json={"role": "viewer"})
    removed = await as_admin.delete(f"/members/{acme.owner.id}")
    by_member = await as_member.patch(f"/members/{acme.viewer.id}", json={"role": "member"})
    unknown = await as_admin.patch(f"/members/{acme.member.id}", json={"role": "king"})
    roles = {each["role"] for each in (await as_admin.get("/members")).json()["items"]}

    assert [problem(403, "permission_not_held")] * 3 == [made, demoted, removed]
    assert problem(403, "permission_missing", permission="members:write") == by_member
    assert problem(422, "unknown_role") == unknown
    assert {role.name for role in Role} == roles


async def test_others_are_not_found(api: Api, acme: TenantHandle, globex: TenantHandle) -> None:
    """A member of another tenant, a service account and nobody are the same: not found, and left alone."""
    as_owner = api.as_(acme.owner)
    for id in (globex.viewer.id, await service_account(acme), new_id()):
        answers = [
            await as_owner.get(f"/members/{id}"),
            await as_owner.patch(f"/members/{id}", json={"role": "viewer"}),
            await as_owner.delete(f"/members/{id}"),
            await as_owner.post(f"/members/{id}/transfer-ownership"),
        ]

        assert [problem(404, "member_not_found")] * 4 == answers
    assert 200 == (await api.as_(globex.viewer).get("/members")).status_code
