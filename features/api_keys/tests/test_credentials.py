"""How an API key is given, what one looks like, and what is refused before the database is asked."""

from base64 import urlsafe_b64decode

import pytest
from sqlalchemy import text

from tenantry.ids import new_id
from tenantry.security.api_keys import new_key
from tenantry.testing import Api, Key, TenantHandle, problem

SUSPEND = text("UPDATE tenants SET status = 'suspended' WHERE id = :id")
NO_KEY, NOBODY = problem(401, "invalid_api_key"), problem(401, "unauthenticated")


@pytest.fixture
async def key(acme: TenantHandle) -> Key:
    return await acme.key(acme.member.id, ["tenants:read"])


@pytest.mark.parametrize(
    "header", ["Authorization: Bearer {}", "authorization: bearer  {} ", "X-API-Key: {}", "x-api-key:  {} "]
)
async def test_both_headers(api: Api, acme: TenantHandle, key: Key, header: str) -> None:
    """A key is a bearer credential, and goes in a header of its own as well, in any case and with blanks around it."""
    name, _, value = header.format(key.text).partition(": ")
    response = await api.get("/tenants/current", headers={name: value})

    assert (200, str(acme.id)) == (response.status_code, response.json()["id"])


async def test_two_credentials(api: Api, acme: TenantHandle, key: Key) -> None:
    """Of two credentials none is believed, be they the same, of one kind or of both."""
    bearer, token = f"Bearer {key.text}", f"Bearer {acme.owner.token}"
    pairs = [
        [("Authorization", token), ("X-API-Key", key.text)],
        [("X-API-Key", key.text), ("Authorization", bearer)],
        [("X-API-Key", key.text), ("X-API-Key", key.text)],
        [("Authorization", token), ("Authorization", bearer)],
        [("Authorization", token), ("X-API-Key", "")],
    ]
    answers = [await api.client.get("/api/v1/tenants/current", headers=pair) for pair in pairs]

    assert [NOBODY] * len(pairs) == answers


async def test_headers_without_a_key(api: Api, acme: TenantHandle, key: Key) -> None:
    """No key is no credential; a token of a session is none in the header for keys, and a key has only one scheme."""
    answers = {
        "empty": await api.get("/tenants/current", headers={"X-API-Key": ""}),
        "blank": await api.get("/tenants/current", headers={"X-API-Key": "  "}),
        "token": await api.get("/tenants/current", headers={"X-API-Key": acme.owner.token}),
        "scheme": await api.get("/tenants/current", headers={"X-API-Key": f"Bearer {key.text}"}),
        "bare": await api.get("/tenants/current", headers={"Authorization": key.text}),
        "basic": await api.get("/tenants/current", headers={"Authorization": f"Basic {key.text}"}),
    }

    assert {"empty": NOBODY, "blank": NOBODY, "token": NO_KEY, "scheme": NO_KEY, "bare": NOBODY, "basic": NOBODY} == (
        answers
    )


async def test_every_character_counts(api: Api, key: Key) -> None:
    """A key with any one character changed, with more or with less is none, even where its bytes are the same."""
    changed = [f"{key.text[:i]}{'A' if key.text[i] != 'A' else 'B'}{key.text[i + 1 :]}" for i in range(len(key.text))]
    plain = key.text[4:].replace("-", "+").replace("_", "/")
    others = [*changed, key.text[:-1], f"{key.text}A", f"{key.text}=", f"tny_{plain}~", key.text.upper(), "tny_"]
    codes = {
        other: (await api.get("/tenants/current", headers={"X-API-Key": other})).json()["code"] for other in others
    }

    assert dict.fromkeys(others, "invalid_api_key") == codes


async def test_guesses_cost_no_connection(api: Api, acme: TenantHandle, key: Key) -> None:
    """What the checksum shows to be wrong is refused as such, though its tenant is suspended: nobody is asked."""
    mistyped = key.text[:-1] + ("A" if key.text[-1] != "A" else "B")
    await acme.run(SUSPEND.bindparams(id=acme.id))

    assert NO_KEY == await api.bearing(mistyped).get("/tenants/current")
    assert problem(403, "tenant_suspended") == await api.bearing(key.text).get("/tenants/current")


async def test_stored_is_only_a_hash(api: Api, acme: TenantHandle) -> None:
    """No column of the row has the key, or the secret part of it."""
    response = await api.as_(acme.owner).post("/api-keys", json={"name": "Leak", "scopes": ["tenants:read"]})
    secret = response.json()["key"]
    async with acme.database.transaction() as unit_of_work:
        await unit_of_work.bind_tenant(acme.id)
        stored = await unit_of_work.scalar(text("SELECT k::text FROM api_keys k"))

    assert secret[-6:] in stored
    assert secret[70:-6] not in stored
    assert urlsafe_b64decode(secret[4:])[48:].hex() not in stored


async def test_unknown_key_of_a_known_tenant(api: Api, acme: TenantHandle) -> None:
    """A well-formed key of a tenant or of a member that never was is refused like one with a wrong secret."""
    foreign = new_key(new_id(), acme.owner.id, new_id()).text

    assert NO_KEY == await api.bearing(foreign).get("/tenants/current")
