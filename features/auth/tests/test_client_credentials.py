"""OAuth 2.0 client_credentials, RFC 6749 section 4.4: a service account's API key gets an access token."""

from typing import Any
from urllib.parse import quote_plus

import httpx
import jwt
import pytest
from sqlalchemy import text

from tenantry.security.permissions import Role
from tenantry.testing import Api, Key, TenantHandle, World, problem

GRANT = {"grant_type": "client_credentials"}
BASIC = 'Basic realm="tenantry"'
CURRENT = "/tenants/current"


@pytest.fixture
async def key(acme: TenantHandle) -> Key:
    return await acme.key(await acme.service_account(Role.member), ["tenants:read"])


def form(key: Key, **changes: str) -> dict[str, str]:
    return GRANT | {"client_id": str(key.principal.subject_id), "client_secret": key.text} | changes


async def asked(api: Api, body: dict[str, str], *basic: str) -> httpx.Response:
    """A token; `basic` are id and secret for the header."""
    options: dict[str, Any] = {"auth": httpx.BasicAuth(*basic)} if basic else {}
    return await api.post("/auth/token", data=body, **options)


def refused(error: str, response: httpx.Response) -> bool:
    """As RFC 6749 section 5.2 wants it."""
    status = 401 if error == "invalid_client" else 400
    return problem(status, error, error=error, error_description=response.json()["detail"]) == response


@pytest.mark.asvs("10.3.2")
async def test_token_of_a_service_account(api: Api, acme: TenantHandle, key: Key) -> None:
    """It works as its key does, in its tenant and with the key's scopes, until it expires; none refreshes it."""
    response = await asked(api, form(key))
    token = response.json()
    bearer = api.bearing(token["access_token"])
    allowed, beyond = await bearer.get(CURRENT), await bearer.patch(CURRENT, json={"name": "Mine"})

    assert (200, "no-store") == (response.status_code, response.headers["cache-control"])
    assert {"access_token", "token_type", "expires_in", "tenant_id"} == token.keys()
    assert ("Bearer", str(acme.id)) == (token["token_type"], token["tenant_id"])
    assert 200 == allowed.status_code
    assert problem(403, "scope_missing", permission="tenants:write") == beyond
    assert problem(403, "session_required") == await bearer.get("/auth/sessions")
    assert key.text not in jwt.decode(token["access_token"], options={"verify_signature": False}).values()


async def test_http_basic(api: Api, key: Key) -> None:
    """Id and key may come in the header, encoded as in a form; the form may name the same client once more."""
    client = str(key.principal.subject_id)
    answers = [
        await asked(api, GRANT, client, key.text),
        await asked(api, GRANT, quote_plus(client), "".join(f"%{ord(character):02x}" for character in key.text)),
        await asked(api, GRANT | {"client_id": client}, client, key.text),
    ]

    assert [200, 200, 200] == [answer.status_code for answer in answers]


async def test_two_ways_at_once(api: Api, key: Key) -> None:
    """A client that authenticates twice, or as two, is told that it must not."""
    client = str(key.principal.subject_id)

    assert refused("invalid_request", await asked(api, form(key), client, key.text))
    assert refused("invalid_request", await asked(api, GRANT | {"client_id": "another"}, client, key.text))


@pytest.mark.parametrize("header", ["Basic", "Basic ", "Basic !", "Basic /w==", "Basic YQ==", "basic YTpi", "Bearer x"])
async def test_bad_headers(api: Api, header: str) -> None:
    """What is no id and key is an invalid client, and the challenge is the scheme that was tried."""
    response = await api.post("/auth/token", data=GRANT, headers={"Authorization": header})

    assert refused("invalid_client", response)
    assert response.headers["www-authenticate"] == (BASIC if header.lower().startswith("basic") else "Bearer")


async def test_who_is_no_client(api: Api, acme: TenantHandle, globex: TenantHandle, key: Key) -> None:
    """Not a person, not one account with another's key, and nobody with less than both."""
    persons = await acme.key(acme.owner.id, ["tenants:read"])
    another, foreign = await acme.service_account(Role.admin), await globex.service_account(Role.admin)
    wrong = [
        form(persons),
        form(key, client_id=str(another)),
        form(key, client_id=str(foreign)),
        form(key, client_id=str(acme.id)),
        form(key, client_id=""),
        form(key, client_secret=""),
        form(key, client_secret=key.text[:-1]),
        form(key, client_secret=acme.owner.token),
        form(key, client_secret="🚀\x00"),
        {name: value for name, value in form(key).items() if name != "client_id"},
        GRANT,
    ]

    assert [True] * len(wrong) == [refused("invalid_client", await asked(api, body)) for body in wrong]


@pytest.mark.parametrize("scope", ["tenants:read", "everything"])
async def test_scope_is_refused(api: Api, key: Key, scope: str) -> None:
    """A token is never narrower than its key, so the request for one that is gets no wider one; empty asks nothing."""
    assert refused("invalid_scope", await asked(api, form(key, scope=scope)))
    assert 200 == (await asked(api, form(key, scope=""))).status_code


ENDS = {
    "revoked": ("UPDATE api_keys SET revoked_at = now()", 401, "api_key_revoked"),
    "expired": ("UPDATE api_keys SET expires_at = now()", 401, "api_key_expired"),
    "narrowed": ("UPDATE api_keys SET scopes = '{}'", 403, "scope_missing"),
    "account deleted": ("DELETE FROM service_accounts", 401, "invalid_api_key"),
    "membership ended": ("DELETE FROM memberships WHERE service_account_id IS NOT NULL", 401, "invalid_api_key"),
    "suspended": ("UPDATE tenants SET status = 'suspended'", 403, "tenant_suspended"),
}


@pytest.mark.parametrize("end", ENDS)
async def test_token_dies_with_its_key(api: Api, acme: TenantHandle, key: Key, end: str) -> None:
    """What ends the key or its account ends the token on the next request, and no other token is issued."""
    statement, status, code = ENDS[end]
    bearer = api.bearing((await asked(api, form(key))).json()["access_token"])
    before = await bearer.get(CURRENT)
    await acme.run(text(statement))
    again = await asked(api, form(key))

    assert 200 == before.status_code
    assert problem(status, code) == await bearer.get(CURRENT)
    assert again.status_code == 200 if end == "narrowed" else refused("invalid_client", again)


async def test_token_outlives_a_rotation(api: Api, acme: TenantHandle, key: Key) -> None:
    """A rotation without overlap ends the old text for new tokens, not the tokens that the key has given."""
    bearer = api.bearing((await asked(api, form(key))).json()["access_token"])
    await acme.run(text("UPDATE api_keys SET secret_hash = sha256('another')"))

    assert 200 == (await bearer.get(CURRENT)).status_code
    assert refused("invalid_client", await asked(api, form(key)))


async def test_token_cannot_change_tenant(api: Api, world: World, acme: TenantHandle, key: Key) -> None:
    """A token that names the key in another tenant is worth nothing, even with our signature."""
    other = await world.tenant("other")
    forged = world.tokens.issue(type(key.principal)(key.principal.subject_id, None, other.id, key.principal.key))

    assert problem(401, "invalid_api_key") == await api.bearing(forged).get(CURRENT)
