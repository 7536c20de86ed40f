import pytest
from sqlalchemy import text
from webauthn.helpers import bytes_to_base64url

from features.passkeys.tests.owners import challenge_of, key_of, log_in, password_only, register, second_step
from tenantry.config import Settings
from tenantry.ids import new_id
from tenantry.testing import Api, TenantHandle, World, problem, subject_of

SESSION = text("SELECT methods, second_factor_at FROM sessions WHERE id = CAST(:id AS uuid)")


async def test_first_passkey(api: Api, world: World, settings: Settings) -> None:
    """It comes with recovery codes, and from then on a password needs it as second step."""
    ada, key = await world.account(), key_of(settings)

    created = await register(api, ada, key)
    listed = (await api.as_(ada).get("/auth/passkeys")).json()["items"]
    known = (await api.as_(ada).get("/auth/mfa")).json()
    entered = await second_step(api, await challenge_of(api, ada), key)

    assert (201, 10) == (created.status_code, len(created.json()["recovery_codes"]))
    assert [("Phone", None)] == [(passkey["name"], passkey["last_used_at"]) for passkey in listed]
    assert (1, 10) == (known["passkeys"], known["recovery_codes_left"])
    assert ada.id == subject_of(entered.json()["access_token"])


@pytest.mark.asvs("6.3.3")
async def test_login_without_password(api: Api, acme: TenantHandle, settings: Settings) -> None:
    """A passkey whose authenticator has verified its owner opens a session that counts as having two factors."""
    key = key_of(settings)
    await register(api, acme.member, key)

    tokens = (await log_in(api, key, tenant_id=str(acme.id))).json()
    current = await api.bearing(tokens["access_token"]).get("/tenants/current")
    async with acme.database.transaction() as unit_of_work:
        session = await unit_of_work.row(SESSION.bindparams(id=tokens["session_id"]))

    assert 200 == current.status_code
    assert session is not None
    assert ["hwk", "mfa"] == session.methods
    assert session.second_factor_at is not None


async def test_login_without_password_needs_verification(api: Api, world: World, settings: Settings) -> None:
    """Whoever finds a key that asks for nothing needs the password as well; after it, the key alone will do."""
    ada, key = await world.account(), key_of(settings, verifies_user=False)
    await register(api, ada, key)

    alone = await log_in(api, key)
    after_password = await second_step(api, await challenge_of(api, ada), key)

    assert problem(401, "passkey_refused") == alone
    assert 200 == after_password.status_code


async def test_second_step_in_a_session(api: Api, world: World, settings: Settings) -> None:
    """After `POST /auth/reauthenticate` the passkey proves the same session again."""
    ada, key = await world.account(), key_of(settings)
    await register(api, ada, key)
    waiting = await api.as_(ada).post("/auth/reauthenticate", json={"password": ada.password})

    proven = await second_step(api, waiting.json()["challenge"], key)

    assert problem(401, "second_factor_required") == waiting
    assert (200, str(ada.session_id)) == (proven.status_code, proven.json()["session_id"])
    assert "refresh_token" not in proven.json()


async def test_further_passkeys(api: Api, world: World, settings: Settings) -> None:
    """The browser is told which are there, the recovery codes of before stay, and a passkey is one account's only."""
    ada, bob, key = await world.account(), await world.account("bob"), key_of(settings)
    first = (await register(api, ada, key)).json()
    begun = (await api.as_(ada).post("/auth/passkeys/options")).json()
    second = await register(api, ada, key_of(settings), "Laptop")
    (key.reused_id,) = key.keys
    taken = await register(api, bob, key)

    excluded = [each["id"] for each in begun["public_key"]["excludeCredentials"]]
    assert [bytes_to_base64url(key.reused_id)] == excluded
    assert first["recovery_codes"]
    assert (201, None) == (second.status_code, second.json()["recovery_codes"])
    assert problem(409, "passkey_registered") == taken


async def test_rename(api: Api, world: World, settings: Settings) -> None:
    """One's own has the new name; somebody else's is none."""
    ada, bob, key = await world.account(), await world.account("bob"), key_of(settings)
    id = (await register(api, ada, key)).json()["id"]

    renamed = await api.as_(ada).patch(f"/auth/passkeys/{id}", json={"name": "Old phone"})
    foreign = await api.as_(bob).patch(f"/auth/passkeys/{id}", json={"name": "Mine"})
    none = await api.as_(ada).delete(f"/auth/passkeys/{new_id()}")

    assert (200, "Old phone") == (renamed.status_code, renamed.json()["name"])
    assert problem(404, "passkey_not_found") == foreign
    assert problem(404, "passkey_not_found") == none


@pytest.mark.asvs("6.5.6", "7.5.1")
async def test_removal_needs_the_factor(api: Api, world: World, settings: Settings) -> None:
    """A session that knows only the password neither adds nor removes one; with the last one the second step goes."""
    ada, key = await world.account(), key_of(settings)
    other = (await password_only(api, ada)).json()["access_token"]
    id = (await register(api, ada, key)).json()["id"]
    refused = await api.bearing(other).delete(f"/auth/passkeys/{id}")
    adding = await api.bearing(other).post("/auth/passkeys/options")
    entered = (await second_step(api, await challenge_of(api, ada), key)).json()
    removed = await api.bearing(entered["access_token"]).delete(f"/auth/passkeys/{id}")
    free = await password_only(api, ada)
    gone = await log_in(api, key)

    assert problem(401, "second_factor_proof_required") == refused
    assert problem(401, "second_factor_proof_required") == adding
    assert 204 == removed.status_code
    assert 200 == free.status_code
    assert problem(401, "passkey_refused") == gone
