import pytest

from features.mfa.tests.people import enrolled, log_in, verify
from features.mfa.tests.test_totp import STEP
from tenantry.clock import now
from tenantry.testing import Api, TenantHandle, problem

REQUIRED = {"settings": {"mfa": {"required": True}}}


@pytest.mark.asvs("6.3.3")
async def test_tenant_requires_a_second_factor(api: Api, acme: TenantHandle) -> None:
    """The next request of whoever has shown none is refused; they enrol, and come in within the same session."""
    before = await api.as_(acme.member).get("/tenants/current")
    changed = await api.as_(acme.owner).patch("/tenants/current", json=REQUIRED)
    refused = [await api.as_(each).get("/tenants/current") for each in (acme.member, acme.owner)]
    personal = await api.as_(acme.member).get("/tenants")
    await enrolled(api, acme.member)
    after = await api.as_(acme.member).get("/tenants/current")
    others = await api.as_(acme.admin).get("/tenants/current")

    assert (200, 200) == (before.status_code, changed.status_code)
    assert [problem(403, "tenant_requires_second_factor")] * 2 == refused
    assert (200, 200) == (personal.status_code, after.status_code)
    assert problem(403, "tenant_requires_second_factor") == others


async def test_stepping_up(api: Api, acme: TenantHandle) -> None:
    """A session of before the factor comes in once it has been shown there, with the tokens that it has."""
    tokens = (await log_in(api, acme.member)).json()
    session = api.bearing(tokens["access_token"])
    phone = await enrolled(api, acme.member)
    await api.as_(acme.owner).patch("/tenants/current", json=REQUIRED)
    refused = await session.get("/tenants/current")
    waiting = await session.post("/auth/reauthenticate", json={"password": acme.member.password})
    proven = await verify(api, waiting.json()["challenge"], phone.code(now() + STEP))
    inside = await session.get("/tenants/current")

    assert problem(403, "tenant_requires_second_factor") == refused
    assert tokens["session_id"] == proven.json()["session_id"]
    assert 200 == inside.status_code


async def test_removal_closes_the_door(api: Api, acme: TenantHandle) -> None:
    """Without any factor left no session counts as having shown one."""
    await enrolled(api, acme.member)
    await api.as_(acme.owner).patch("/tenants/current", json=REQUIRED)
    inside = await api.as_(acme.member).get("/tenants/current")
    removed = await api.as_(acme.member).delete("/auth/mfa/totp")
    outside = await api.as_(acme.member).get("/tenants/current")

    assert (200, 204) == (inside.status_code, removed.status_code)
    assert problem(403, "tenant_requires_second_factor") == outside
