from uuid import UUID

import pytest

from tenantry.ids import new_id
from tenantry.security.permissions import Role
from tenantry.security.principal import Principal
from tenantry.testing import Api, TenantHandle, World, problem


def slug() -> str:
    return f"t-{new_id().hex[-12:]}"


async def test_founder_becomes_owner(api: Api, world: World) -> None:
    """Who creates a tenant is its owner, and can work in it with a token for it."""
    ada = await world.account()
    chosen = slug()

    created = await api.as_(ada).post("/tenants", json={"name": "Acme", "slug": chosen})
    mine = await api.as_(ada).get("/tenants")
    switched = world.tokens.issue(Principal(ada.id, ada.session_id, UUID(created.json()["id"])))
    current = await api.bearing(switched).get("/tenants/current")

    assert (201, "Acme", chosen, "active") == (
        created.status_code, *(created.json()[key] for key in ("name", "slug", "status")),
    )  # fmt: skip
    assert [(created.json()["id"], "owner")] == [(item["id"], item["role"]) for item in mine.json()["items"]]
    assert created.json() == current.json()


async def test_slug_is_unique(api: Api, world: World, acme: TenantHandle) -> None:
    """A slug that another tenant has is refused, at creation and at a change."""
    ada = await world.account()

    created = await api.as_(ada).post("/tenants", json={"name": "Acme", "slug": acme.slug})
    other = await world.tenant("other")
    changed = await api.as_(other.owner).patch("/tenants/current", json={"slug": acme.slug})

    assert problem(409, "tenant_slug_taken") == created
    assert problem(409, "tenant_slug_taken") == changed


@pytest.mark.parametrize("bad", ["", "Acme", "a b", "-a", "a-", "a--b", "acme\n", "ä", "a" * 64])
async def test_bad_slugs(api: Api, world: World, bad: str) -> None:
    """A slug is lower-case letters, digits and single hyphens; anything else is named as the fault."""
    ada = await world.account()

    response = await api.as_(ada).post("/tenants", json={"name": "Acme", "slug": bad})

    assert problem(422, "validation_failed") == response
    assert ["/slug"] == [fault["pointer"] for fault in response.json()["errors"]]


async def test_only_admins_change_the_tenant(api: Api, acme: TenantHandle) -> None:
    """An admin renames the tenant; a member is refused and nothing changes."""
    renamed = await api.as_(acme.admin).patch("/tenants/current", json={"name": "Acme & Sons"})
    refused = await api.as_(acme.member).patch("/tenants/current", json={"name": "Mine"})
    current = await api.as_(acme.viewer).get("/tenants/current")

    assert 200 == renamed.status_code
    assert problem(403, "permission_missing", permission="tenants:write") == refused
    assert ("Acme & Sons", acme.slug) == (current.json()["name"], current.json()["slug"])


async def test_mine_are_mine(api: Api, world: World, acme: TenantHandle, globex: TenantHandle) -> None:
    """The list shows the tenants of the person, with the role in each, and no others."""
    await globex.admit(acme.owner, Role.viewer)

    both = await api.as_(acme.owner).get("/tenants", params={"sort": "name", "include_total": True})
    one = await api.as_(acme.member).get("/tenants")
    none = await api.as_(await world.account()).get("/tenants")

    assert [("Acme", "owner"), ("Globex", "viewer")] == [(t["name"], t["role"]) for t in both.json()["items"]]
    assert 2 == both.json()["total"]
    assert [str(acme.id)] == [t["id"] for t in one.json()["items"]]
    assert [] == none.json()["items"]
