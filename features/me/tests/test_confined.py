"""A session that only a tenant's own provider vouches for shows and touches nothing outside of that tenant."""

import pytest
from sqlalchemy import text

from tenantry.security.permissions import Role
from tenantry.testing import Account, Api, TenantHandle, problem

CONFINE = text("UPDATE sessions SET only_tenant_id = :tenant WHERE id = :session")

REMOVE = text("DELETE FROM memberships WHERE user_id = :user")


@pytest.fixture
async def ada(api: Api, acme: TenantHandle, globex: TenantHandle) -> Account:
    """A member of two tenants, in a session that is confined to one; another of hers is not."""
    ada = acme.owner
    await globex.admit(ada, Role.viewer)
    await acme.run(CONFINE.bindparams(tenant=acme.id, session=ada.session_id))
    await api.post("/auth/login", json={"email": ada.email, "password": ada.password})
    return ada


async def test_other_tenants_are_not_shown(api: Api, ada: Account, acme: TenantHandle, globex: TenantHandle) -> None:
    """Neither in the list, nor in its total, nor by a filter, nor by switching."""
    listed = (await api.as_(ada).get("/tenants", params={"include_total": "true"})).json()
    named = (await api.as_(ada).get("/tenants", params={"slug": globex.slug})).json()
    switched = await api.as_(ada).post("/auth/switch", json={"tenant_id": str(globex.id)})
    back = await api.as_(ada).post("/auth/switch", json={"tenant_id": str(acme.id)})
    me = await api.as_(ada).get("/me")

    assert ([str(acme.id)], 1) == ([tenant["id"] for tenant in listed["items"]], listed["total"])
    assert [] == named["items"]
    assert problem(403, "tenant_not_available") == switched
    assert str(acme.id) == back.json()["tenant_id"]
    assert ada.email == me.json()["email"]
    assert str(globex.id) not in me.text


async def test_other_sessions_are_neither_shown_nor_ended(api: Api, ada: Account) -> None:
    """Where else somebody is logged in is not the matter of a tenant."""
    whole = (await api.post("/auth/login", json={"email": ada.email, "password": ada.password})).json()
    listed = (await api.as_(ada).get("/auth/sessions")).json()["items"]
    one = await api.as_(ada).delete(f"/auth/sessions/{whole['session_id']}")
    all_others = await api.as_(ada).delete("/auth/sessions")
    seen_by_the_whole = (await api.bearing(whole["access_token"]).get("/auth/sessions")).json()["items"]

    assert [str(ada.session_id)] == [session["id"] for session in listed]
    assert problem(404, "session_not_found") == one
    assert 204 == all_others.status_code
    assert 3 == len(seen_by_the_whole)


async def test_account_is_not_touched(api: Api, ada: Account) -> None:
    """What would reach beyond the tenant is refused with the reason, whatever else the session has proven."""
    asked = {
        "export": await api.as_(ada).get("/me/export"),
        "departure": await api.as_(ada).delete("/me"),
        "name": await api.as_(ada).patch("/me", json={"name": "Eve"}),
        "address": await api.as_(ada).post("/me/email", json={"email": "eve@example.com"}),
        "password": await api.as_(ada).post(
            "/auth/password/change", json={"current_password": ada.password, "password": "seven zebras on a train"}
        ),
        "factor": await api.as_(ada).post("/auth/mfa/totp"),
        "tenant": await api.as_(ada).post("/tenants", json={"name": "Mine", "slug": "mine"}),
    }

    assert [problem(403, "session_confined")] * len(asked) == [*asked.values()]


async def test_removal_closes_the_tenant_and_not_the_session(api: Api, acme: TenantHandle) -> None:
    """Whoever is no member any more still reads who they are, and does nothing in the tenant or any other."""
    bob = acme.member
    await acme.run(CONFINE.bindparams(tenant=acme.id, session=bob.session_id))
    await acme.run(REMOVE.bindparams(user=bob.id))
    me, tenant = await api.as_(bob).get("/me"), await api.as_(bob).get("/tenants/current")
    listed = (await api.as_(bob).get("/tenants")).json()["items"]

    assert bob.email == me.json()["email"]
    assert problem(403, "not_a_member") == tenant
    assert [] == listed
