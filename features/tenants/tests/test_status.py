import asyncio
from datetime import datetime, timedelta

import pytest
from sqlalchemy import text

from features.tenants.models import TenantRow
from features.tenants.repository import TenantRepository
from tenantry.clock import frozen_at, now
from tenantry.config import Settings
from tenantry.ids import new_id
from tenantry.security.api_keys import new_key
from tenantry.security.permissions import Role
from tenantry.security.principal import Principal
from tenantry.testing import Api, TenantHandle, World, problem

INSERT_KEY = text(
    "INSERT INTO api_keys (id, subject_id, name, hint, secret_hash, scopes, created_by, created_at, updated_at)"
    " VALUES (:id, :subject, 'robot', '', :hash, '{tenants:read}', :subject, now(), now())"
)


async def apply(tenant: TenantHandle, rule: str) -> None:
    async with tenant.database.transaction() as unit_of_work:
        await unit_of_work.bind_tenant(tenant.id)
        await TenantRepository(unit_of_work).alter(tenant.id, getattr(TenantRow, rule))


async def key_of(tenant: TenantHandle) -> str:
    """Of the owner."""
    id = new_id()
    key = new_key(tenant.id, tenant.owner.id, id)
    await tenant.run(INSERT_KEY.bindparams(id=id, subject=tenant.owner.id, hash=key.secret_hash))
    return key.text


async def test_suspension_acts_at_once(api: Api, acme: TenantHandle, globex: TenantHandle) -> None:
    """From the moment that it is suspended nobody gets in, until it is resumed; other tenants go on."""
    owner, key = api.as_(acme.owner), api.bearing(await key_of(acme))

    before = await owner.get("/tenants/current")
    await apply(acme, "suspend")
    refused = [
        await owner.get("/tenants/current"),
        await owner.patch("/tenants/current", json={"name": "New"}),
        await owner.delete("/tenants/current"),
        await api.as_(acme.viewer).get("/tenants/current"),
        await key.get("/tenants/current"),
    ]
    other = await api.as_(globex.owner).get("/tenants/current")
    mine = await owner.get("/tenants")
    await apply(acme, "resume")
    after, by_key = await owner.get("/tenants/current"), await key.get("/tenants/current")

    assert [problem(403, "tenant_suspended")] * 5 == refused
    assert [200, 200, 200, 200] == [each.status_code for each in (before, other, after, by_key)]
    assert ["suspended"] == [each["status"] for each in mine.json()["items"]]


async def test_deletion_has_a_grace(api: Api, acme: TenantHandle, settings: Settings) -> None:
    """Who deletes learns until when it can be undone; everybody is refused at once; an owner undoes it."""
    owner = api.as_(acme.owner)

    deleted = await owner.delete("/tenants/current")
    refused = [await api.as_(account).get("/tenants/current") for account in acme.accounts.values()]
    mine = await owner.get("/tenants")
    restored = await owner.post(f"/tenants/{acme.id}/restore")
    current = await owner.get("/tenants/current")

    until = datetime.fromisoformat(deleted.json()["erase_after"]) - now()
    assert (202, "deleting") == (deleted.status_code, deleted.json()["status"])
    assert timedelta(minutes=-1) < until - timedelta(days=settings.tenant_grace_days) < timedelta()
    assert [problem(403, "tenant_deleting")] * len(Role) == refused
    assert [deleted.json()["erase_after"]] == [each["erase_after"] for each in mine.json()["items"]]
    assert (200, "active", None) == (restored.status_code, restored.json()["status"], restored.json()["erase_after"])
    assert restored.json() == current.json()


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.owner])
async def test_only_owners_delete_and_restore(api: Api, acme: TenantHandle, role: Role) -> None:
    """Nobody else may do either; to strangers such a tenant does not exist."""
    someone = api.as_(acme.accounts[role])

    refused = await someone.delete("/tenants/current")
    await api.as_(acme.owner).delete("/tenants/current")
    again = await someone.post(f"/tenants/{acme.id}/restore")

    assert problem(403, "permission_missing", permission="tenants:delete") == refused
    assert problem(403, "owner_required") == again


async def test_a_stranger_sees_no_tenant(api: Api, acme: TenantHandle, globex: TenantHandle) -> None:
    """An owner of another tenant, and an owner who was removed, get the answer for a tenant that never was."""
    await acme.admit(globex.owner, Role.owner)
    await api.as_(acme.owner).delete("/tenants/current")
    await acme.run(text("DELETE FROM memberships WHERE user_id = :user").bindparams(user=acme.owner.id))

    for account in (globex.admin, acme.owner):
        foreign = await api.as_(account).post(f"/tenants/{acme.id}/restore")
        none = await api.as_(account).post(f"/tenants/{new_id()}/restore")
        assert problem(404, "tenant_not_found") == foreign
        assert problem(404, "tenant_not_found") == none


async def test_after_the_grace_nothing_is_restored(
    api: Api, world: World, acme: TenantHandle, settings: Settings
) -> None:
    """A tenant that is not deleted, whose time is over, or whose erasure has begun, cannot be restored."""
    restore = f"/tenants/{acme.id}/restore"
    owner = api.as_(acme.owner)

    active = await owner.post(restore)
    await owner.delete("/tenants/current")
    with frozen_at(now() + timedelta(days=settings.tenant_grace_days, seconds=1)):
        token = world.tokens.issue(Principal(acme.owner.id, acme.owner.session_id, acme.id))
        late = await api.bearing(token).post(restore)
    await acme.run(text("UPDATE tenants SET erase_after = NULL"))
    begun = await owner.post(restore)

    assert [problem(409, "tenant_not_restorable")] * 3 == [active, late, begun]


async def test_a_request_in_flight_ends_before_or_is_refused(api: Api, acme: TenantHandle) -> None:
    """Of changes and a deletion at once each was either answered before it or refused."""
    owner = api.as_(acme.owner)

    *changed, deleted = await asyncio.gather(
        *(owner.patch("/tenants/current", json={"name": f"at once {n}"}) for n in range(20)),
        owner.delete("/tenants/current"),
    )
    after = await owner.patch("/tenants/current", json={"name": "late"})
    restored = await owner.post(f"/tenants/{acme.id}/restore")

    assert 202 == deleted.status_code
    assert {200, 403} >= {each.status_code for each in changed}
    assert problem(403, "tenant_deleting") == after
    assert restored.json()["name"] in {each.json()["name"] for each in changed if each.is_success} | {acme.name}
