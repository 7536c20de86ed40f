import asyncio
import copy
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from features.passkeys.tests.owners import challenge_of, key_of, log_in, register
from tenantry.clock import frozen_at, now
from tenantry.config import Settings
from tenantry.testing import Api, World, problem

DISABLE = text("UPDATE users SET disabled_at = now() WHERE id = :id")
FIELDS = ["id", "rawId", "type", "response", "clientDataJSON", "authenticatorData", "signature", "userHandle"]
NOT_A_KEY: list[Any] = ["", "?", 0, None, [], {}, "AAAA", "á"]


async def begun(api: Api) -> dict[str, Any]:
    ceremony: dict[str, Any] = (await api.post("/auth/passkeys/login/options")).json()
    return ceremony


async def show(api: Api, credential: object) -> Any:
    return await api.post("/auth/passkeys/login/verify", json={"credential": credential})


@pytest.mark.asvs("6.5.1")
async def test_signature_works_once(api: Api, world: World, settings: Settings) -> None:
    """A signature that was read on its way opens nothing again, and of those that race one gets in."""
    key = key_of(settings)
    await register(api, await world.account(), key)
    credential = key.get(await begun(api))

    racing = await asyncio.gather(*(show(api, credential) for _ in range(4)))
    again = await show(api, credential)

    assert [200, 401, 401, 401] == sorted(answer.status_code for answer in racing)
    assert problem(401, "passkey_refused") == again


async def test_ceremony_is_over_after_a_failure(api: Api, world: World, settings: Settings) -> None:
    """What was refused once cannot be mended and tried again, and after five minutes nothing is good."""
    key = key_of(settings)
    await register(api, await world.account(), key)
    ceremony, late = await begun(api), await begun(api)
    spoilt = key.get(ceremony)
    spoilt["response"]["signature"] = "AAAA"

    refused = await show(api, spoilt)
    mended = await show(api, key.get(ceremony))
    with frozen_at(now() + timedelta(minutes=5, seconds=1)):
        expired = await show(api, key.get(late))

    assert [problem(401, "passkey_refused")] * 3 == [refused, mended, expired]


async def test_other_sites_get_nothing(api: Api, world: World, settings: Settings) -> None:
    """A signature for another page, or for another host, is refused; so is a new passkey that was made there."""
    ada, key = await world.account(), key_of(settings)
    await register(api, ada, key)
    key.origin = "https://tenantry.example.evil"
    of_a_page = await show(api, key.get(await begun(api)))
    new = await register(api, ada, key)
    key.origin = settings.base_url
    ceremony = await begun(api)
    ceremony["public_key"]["rpId"] = "evil.example"
    of_a_host = await show(api, key.get(ceremony))

    assert [problem(401, "passkey_refused")] * 2 == [of_a_page, of_a_host]
    assert problem(422, "passkey_unacceptable") == new


async def test_somebody_elses_passkey(api: Api, world: World, settings: Settings) -> None:
    """It is no second factor of mine, and none that names me instead of its owner lets anybody in."""
    ada, eve, key, evil = await world.account(), await world.account("eve"), key_of(settings), key_of(settings)
    await register(api, ada, key)
    await register(api, eve, evil)
    challenge = await challenge_of(api, ada)
    ceremony = (await api.post("/auth/mfa/passkey/options", json={"challenge": challenge})).json()
    ceremony["public_key"]["allowCredentials"] = []

    stepped = await api.post(
        "/auth/mfa/passkey/verify", json={"challenge": challenge, "credential": evil.get(ceremony)}
    )
    evil.user_handle = ada.id.bytes
    posing = await log_in(api, evil)

    assert problem(401, "passkey_refused") == stepped
    assert problem(401, "passkey_refused") == posing


@pytest.mark.asvs("6.6.2")
async def test_ceremonies_are_not_exchanged(api: Api, world: World, settings: Settings) -> None:
    """What was begun as a log-in, which anybody can do, is no second step, and the other way round."""
    ada, key = await world.account(), key_of(settings)
    await register(api, ada, key)
    challenge = await challenge_of(api, ada)
    step = (await api.post("/auth/mfa/passkey/options", json={"challenge": challenge})).json()

    as_step = await api.post(
        "/auth/mfa/passkey/verify", json={"challenge": challenge, "credential": key.get(await begun(api))}
    )
    as_login = await show(api, key.get(step))

    assert [problem(401, "passkey_refused")] * 2 == [as_step, as_login]


async def test_copied_authenticator(api: Api, world: World, settings: Settings) -> None:
    """Where the counter of an authenticator falls back there are two of it: refused, and written into the log."""
    key = key_of(settings)
    await register(api, await world.account(), key)
    good = await log_in(api, key)
    key.sign_count -= 1
    with capture_logs() as lines:
        copy_ = await log_in(api, key)
    later = await log_in(api, key)

    assert 200 == good.status_code
    assert problem(401, "passkey_refused") == copy_
    assert ["error"] == [line["log_level"] for line in lines if line["event"] == "passkey.copied"]
    assert 200 == later.status_code


@pytest.mark.asvs("6.3.4")
async def test_disabled_account(api: Api, world: World, settings: Settings) -> None:
    """Its passkey opens no session."""
    ada, key = await world.account(), key_of(settings)
    await register(api, ada, key)
    async with world.database.transaction() as unit_of_work:
        await unit_of_work.execute(DISABLE.bindparams(id=ada.id))

    assert problem(401, "passkey_refused") == await log_in(api, key)


async def test_no_passkey(api: Api, world: World, settings: Settings) -> None:
    """An unknown passkey is refused as any other, and a challenge that never was begins no ceremony."""
    key = key_of(settings)
    key.create((await api.as_(await world.account()).post("/auth/passkeys/options")).json())

    unknown = await log_in(api, key)
    challenge = await api.post("/auth/mfa/passkey/options", json={"challenge": "none"})

    assert problem(401, "passkey_refused") == unknown
    assert problem(401, "invalid_challenge") == challenge


@pytest.mark.parametrize("field", FIELDS)
async def test_malformed_credentials(api: Api, world: World, settings: Settings, field: str) -> None:
    """Whatever stands in any field is refused, never a fault of ours."""
    key = key_of(settings)
    await register(api, await world.account(), key)
    good = key.get(await begun(api))
    statuses = set()
    for value in NOT_A_KEY:
        bad = copy.deepcopy(good)
        (bad if field in bad else bad["response"])[field] = value
        statuses.add((await show(api, bad)).status_code)

    assert statuses <= {401}
