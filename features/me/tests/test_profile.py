"""What people see and change of themselves, and take along."""

from datetime import timedelta

import pytest

from tenantry.clock import now
from tenantry.security.principal import Principal
from tenantry.testing import Api, TenantHandle, World, problem


async def test_name_can_be_changed(api: Api, world: World) -> None:
    """A merge patch changes what it names and leaves the rest; nobody else's name changes."""
    ada, grace = await world.account("ada"), await world.account("grace")
    changed = await api.as_(ada).patch("/me", json={"name": "  Countess of Lovelace "})
    unchanged = await api.as_(ada).patch("/me", json={})
    mine, theirs = await api.as_(ada).get("/me"), await api.as_(grace).get("/me")

    assert (200, "Countess of Lovelace") == (changed.status_code, changed.json()["name"])
    assert changed.json() == unchanged.json() == mine.json()
    assert "Grace" == theirs.json()["name"]


@pytest.mark.parametrize("body", [{"name": " "}, {"name": "x" * 201}, {"name": None}, {"email": "new@example.com"}])
async def test_nothing_else_can(api: Api, world: World, body: dict[str, object]) -> None:
    """Neither an empty name nor, this way, another address."""
    ada = await world.account()
    refused = await api.as_(ada).patch("/me", json=body)

    assert problem(422, "validation_failed") == refused
    assert ada.email == (await api.as_(ada).get("/me")).json()["email"]


async def test_export_has_what_is_mine(api: Api, acme: TenantHandle, globex: TenantHandle) -> None:
    """A file with one's profile, tenants and sessions, and with nothing of anybody else, no secret among it."""
    ada = acme.member
    await api.post("/auth/login", json={"email": ada.email, "password": ada.password})
    exported = await api.as_(ada).get("/me/export")
    data = exported.json()

    assert 200 == exported.status_code
    assert 'attachment; filename="my-data.json"' == exported.headers["content-disposition"]
    assert (str(ada.id), ada.email, True, False, None) == (
        data["profile"]["id"], data["profile"]["email"], data["has_password"], data["has_second_factor"],
        data["pending_address"],
    )  # fmt: skip
    assert [(str(acme.id), "member")] == [(tenant["id"], tenant["role"]) for tenant in data["tenants"]]
    assert 2 == len(data["sessions"])
    assert "argon2" not in exported.text
    assert str(globex.id) not in exported.text


@pytest.mark.asvs("7.5.1", "7.5.3")
@pytest.mark.parametrize(("method", "path"), [("GET", "/me/export"), ("POST", "/me/email"), ("DELETE", "/me")])
async def test_what_matters_most_needs_a_fresh_proof(api: Api, world: World, method: str, path: str) -> None:
    """A session whose owner has not proven who they are for an hour is asked to do so first."""
    ada = await world.account()
    stale = Principal(ada.id, ada.session_id, None, authenticated_at=now() - timedelta(hours=1))
    body = {"json": {"email": "new@example.com"}} if method == "POST" else {}
    refused = await api.bearing(world.tokens.issue(stale)).request(method, path, **body)

    assert problem(401, "fresh_auth_required") == refused
    assert 200 == (await api.as_(ada).get("/me")).status_code
