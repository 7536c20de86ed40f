from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from tenantry.clock import now
from tenantry.ids import new_id
from tenantry.security.permissions import Role
from tenantry.testing import Account, Api, TenantHandle, problem

READ = {"name": "Reader", "scopes": ["tenants:read"]}


async def created(api: Api, by: Account, **changes: Any) -> dict[str, Any]:
    response = await api.as_(by).post("/api-keys", json=READ | changes)
    assert 201 == response.status_code, response.text
    key: dict[str, Any] = response.json()
    return key


def without_text(key: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in key.items() if name != "key"}


async def test_text_is_shown_once(api: Api, acme: TenantHandle) -> None:
    """Only the answer to its creation has the key, and nobody may keep it; later ones have its last characters."""
    response = await api.as_(acme.member).post("/api-keys", json=READ | {"expires_at": "2030-01-31T12:00:00+02:00"})
    key = response.json()
    got = await api.as_(acme.member).get(f"/api-keys/{key['id']}")
    listed = await api.as_(acme.member).get("/api-keys")

    assert "no-store" == response.headers["cache-control"]
    assert key["key"].startswith("tny_")
    assert key["key"].endswith(key["hint"])
    assert str(acme.member.id) == key["subject_id"] == key["created_by"]
    assert "2030-01-31T10:00:00Z" == key["expires_at"]
    assert without_text(key) == got.json()
    assert [without_text(key)] == listed.json()["items"]
    assert key["key"] not in got.text + listed.text


@pytest.mark.asvs("10.3.2")
async def test_key_may_do_its_scopes_and_nothing_else(api: Api, acme: TenantHandle) -> None:
    """A key of an owner reads the tenant where that is its scope, and is refused the rest and what needs a session."""
    key = api.bearing((await created(api, acme.owner))["key"])
    allowed = await key.get("/tenants/current")
    beyond = await key.get("/api-keys")
    personal = await key.get("/tenants")

    assert 200 == allowed.status_code
    assert problem(403, "scope_missing", permission="api-keys:read") == beyond
    assert problem(403, "session_required") == personal


@pytest.mark.parametrize(
    ("changes", "code", "pointers"),
    [
        ({"scopes": ["tenants:read", "nothing:read", "x"]}, "unknown_scope", ["/scopes/1", "/scopes/2"]),
        ({"scopes": []}, "validation_failed", ["/scopes"]),
        ({"scopes": "tenants:read"}, "validation_failed", ["/scopes"]),
        ({"name": " "}, "validation_failed", ["/name"]),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "invalid_expiry", ["/expires_at"]),
        ({"expires_at": "2999-01-01T00:00:00Z"}, "invalid_expiry", ["/expires_at"]),
        ({"expires_at": "2030-01-01T00:00:00"}, "validation_failed", ["/expires_at"]),
        ({"service_account_id": str(new_id())}, "unknown_service_account", ["/service_account_id"]),
        ({"subject_id": str(new_id())}, "validation_failed", ["/subject_id"]),
    ],
)
async def test_bad_requests(
    api: Api, acme: TenantHandle, changes: dict[str, Any], code: str, pointers: list[str]
) -> None:
    """What a key cannot have is named as the fault, and no key is made."""
    response = await api.as_(acme.owner).post("/api-keys", json=READ | changes)
    listed = await api.as_(acme.owner).get("/api-keys")

    assert problem(422, code) == response
    assert pointers == [fault["pointer"] for fault in response.json()["errors"]]
    assert [] == listed.json()["items"]


async def test_scopes_are_held_by_the_creator(api: Api, acme: TenantHandle) -> None:
    """Nobody gives a key what they do not hold: not a member what admins may, nor a key more than it has itself."""
    by_member = await api.as_(acme.member).post(
        "/api-keys", json=READ | {"scopes": ["tenants:write", "tenants:read", "api-keys:manage"]}
    )
    narrow = api.bearing((await created(api, acme.owner, scopes=["api-keys:write", "tenants:read"]))["key"])
    wider = await narrow.post("/api-keys", json=READ | {"scopes": ["api-keys:read"]})
    as_wide = await narrow.post("/api-keys", json=READ | {"scopes": ["tenants:read", "tenants:read"]})

    assert problem(403, "permission_not_held", missing=["api-keys:manage", "tenants:write"]) == by_member
    assert problem(403, "permission_not_held", missing=["api-keys:read"]) == wider
    assert (201, ["tenants:read"]) == (as_wide.status_code, as_wide.json()["scopes"])


async def test_key_is_never_more_than_its_holder(api: Api, acme: TenantHandle) -> None:
    """A key for a service account does at most what its role includes; a wider role counts at the next request."""
    account = await acme.service_account(Role.viewer)
    scopes = ["tenants:read", "tenants:write"]
    key = api.bearing((await created(api, acme.owner, scopes=scopes, service_account_id=str(account)))["key"])
    seen, refused = await key.get("/tenants/current"), await key.patch("/tenants/current", json={"name": "Mine"})
    await acme.run(text("UPDATE memberships SET role = 'admin' WHERE subject_id = :id").bindparams(id=account))
    allowed = await key.patch("/tenants/current", json={"name": "Ours"})

    assert [200, 200] == [seen.status_code, allowed.status_code]
    assert problem(403, "permission_missing", permission="tenants:write") == refused


async def test_everyone_has_their_own(api: Api, acme: TenantHandle) -> None:
    """A member sees their own keys, an admin those of all, and of one service account where that is asked for."""
    account = await acme.service_account(Role.member)
    mine = await created(api, acme.member)
    admins = await created(api, acme.admin)
    robots = await created(api, acme.admin, service_account_id=str(account))
    ids = {
        query: [[key["id"] for key in (await api.as_(who).get(f"/api-keys{query}")).json()["items"]] for who in (
            acme.member, acme.admin,
        )]
        for query in ("", f"?service_account_id={account}", f"?service_account_id={acme.owner.id}")
    }  # fmt: skip
    others = await api.as_(acme.member).get(f"/api-keys/{admins['id']}")
    never = await api.as_(acme.member).get(f"/api-keys/{new_id()}")

    everything, of_account, of_nobody = ids.values()
    assert [[mine["id"]], [robots["id"], admins["id"], mine["id"]]] == everything
    assert [[], [robots["id"]]] == of_account
    assert [[], []] == of_nobody
    assert problem(404, "api_key_not_found") == others
    assert problem(404, "api_key_not_found") == never


async def test_who_may_do_what_with_whose_key(api: Api, acme: TenantHandle, globex: TenantHandle) -> None:
    """An admin revokes a person's key but never gets its text; without api-keys:manage it is a key that never was."""
    mine = f"/api-keys/{(await created(api, acme.member))['id']}"
    member, admin, viewer = api.as_(acme.member), api.as_(acme.admin), api.as_(acme.viewer)
    hidden = [
        await who.request(method, path, json=body)
        for who in (viewer, api.as_(globex.owner))
        for method, path, body in (("PATCH", mine, {}), ("POST", f"{mine}/rotate", {}), ("DELETE", mine, None))
    ]
    of_a_person = [await admin.patch(mine, json={"name": "x"}), await admin.post(f"{mine}/rotate", json={})]
    revoked = await admin.delete(mine)
    after = await member.get(mine)

    assert [problem(404, "api_key_not_found")] * 6 == hidden
    assert [problem(403, "api_key_of_a_person")] * 2 == of_a_person
    assert 204 == revoked.status_code
    assert after.json()["revoked_at"] is not None


async def test_keys_for_others(api: Api, acme: TenantHandle, globex: TenantHandle) -> None:
    """Only who manages keys gives them to service accounts of the tenant, and nobody gives one to another person."""
    account, foreign = await acme.service_account(Role.viewer), await globex.service_account(Role.viewer)
    by_member = await api.as_(acme.member).post("/api-keys", json=READ | {"service_account_id": str(account)})
    of_others = [
        await api.as_(acme.owner).post("/api-keys", json=READ | {"service_account_id": str(id)})
        for id in (foreign, new_id(), acme.member.id, acme.owner.id)
    ]

    assert problem(403, "permission_not_held", missing=["api-keys:manage"]) == by_member
    assert [problem(422, "unknown_service_account")] * 4 == of_others


async def test_changes(api: Api, acme: TenantHandle) -> None:
    """A key is renamed, narrowed, and widened again only by who holds what is added; the next request knows."""
    key = await created(api, acme.owner, scopes=["tenants:read", "api-keys:read"])
    bearer, path = api.bearing(key["key"]), f"/api-keys/{key['id']}"
    narrowed = await api.as_(acme.owner).patch(path, json={"name": "Less", "scopes": ["tenants:read"]})
    refused = await bearer.get("/api-keys")
    unknown = await api.as_(acme.owner).patch(path, json={"scopes": ["nothing:read"]})
    other = api.bearing((await created(api, acme.owner, scopes=["api-keys:write"]))["key"])
    widened_by_key = await other.patch(path, json={"scopes": ["tenants:read", "api-keys:read"]})
    kept_by_key = await other.patch(path, json={"scopes": ["tenants:read"]})
    rotated_by_key = await other.post(f"{path}/rotate", json={})
    widened = await api.as_(acme.owner).patch(path, json={"scopes": ["api-keys:read"]})

    assert ("Less", ["tenants:read"]) == (narrowed.json()["name"], narrowed.json()["scopes"])
    assert problem(403, "scope_missing") == refused
    assert problem(422, "unknown_scope") == unknown
    assert problem(403, "permission_not_held", missing=["api-keys:read"]) == widened_by_key
    assert 200 == kept_by_key.status_code
    assert problem(403, "permission_not_held", missing=["tenants:read"]) == rotated_by_key
    assert ["api-keys:read"] == widened.json()["scopes"]
    assert 200 == (await bearer.get("/api-keys")).status_code


async def test_revocation(api: Api, acme: TenantHandle) -> None:
    """It holds from the next request on, twice is as good as once, and nothing brings the key back."""
    kept, key = await created(api, acme.member), await created(api, acme.member)
    path, member = f"/api-keys/{key['id']}", api.as_(acme.member)
    before = await api.bearing(key["key"]).get("/tenants/current")
    revoked = await member.delete(path)
    after = await api.bearing(key["key"]).get("/tenants/current")
    first = (await member.get(path)).json()["revoked_at"]
    again = await member.delete(path)
    late = [await member.patch(path, json={"name": "x"}), await member.post(f"{path}/rotate", json={})]
    lists = [
        [each["id"] for each in (await member.get(f"/api-keys{query}")).json()["items"]]
        for query in ("", "?revoked=true", "?revoked=false")
    ]

    assert [200, 204, 204] == [before.status_code, revoked.status_code, again.status_code]
    assert problem(401, "api_key_revoked") == after
    assert first == (await member.get(path)).json()["revoked_at"]
    assert [problem(409, "api_key_ended")] * 2 == late
    assert [[key["id"], kept["id"]], [key["id"]], [kept["id"]]] == lists


async def test_expiry(api: Api, acme: TenantHandle) -> None:
    """A key that has expired opens nothing, and cannot be rotated into a good one."""
    key = await created(api, acme.member, expires_at=(now() + timedelta(days=5 * 365 - 1)).isoformat())
    before = await api.bearing(key["key"]).get("/tenants/current")
    await acme.run(text("UPDATE api_keys SET expires_at = now() WHERE id = :id").bindparams(id=UUID(key["id"])))
    after = await api.bearing(key["key"]).get("/tenants/current")
    rotated = await api.as_(acme.member).post(f"/api-keys/{key['id']}/rotate", json={})

    assert 200 == before.status_code
    assert problem(401, "api_key_expired") == after
    assert problem(409, "api_key_ended") == rotated
