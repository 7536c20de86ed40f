import asyncio

import pytest
from sqlalchemy import text

from features.mfa.tests.people import challenge_of, enrolled, enter, log_in, verify
from features.mfa.tests.test_totp import STEP
from tenantry.clock import now
from tenantry.testing import Api, World, problem

HASHES = text("SELECT code_hash FROM recovery_codes WHERE user_id = :id")


@pytest.mark.asvs("6.5.1")
async def test_recovery_code_works_once(api: Api, world: World) -> None:
    """However it is typed; of those that show it at the same moment one gets in, and nine codes are left."""
    ada = await world.account()
    phone = await enrolled(api, ada)
    code = phone.recovery_codes[0]
    challenges = [await challenge_of(api, ada) for _ in range(4)]
    answers = await asyncio.gather(*(verify(api, challenge, code) for challenge in challenges))
    left = (await api.as_(ada).get("/auth/mfa")).json()["recovery_codes_left"]
    typed = await verify(api, await challenge_of(api, ada), phone.recovery_codes[1].lower().replace("-", " "))

    assert [200, 401, 401, 401] == sorted(answer.status_code for answer in answers)
    assert 9 == left
    assert 200 == typed.status_code


@pytest.mark.asvs("6.5.2")
async def test_recovery_codes_are_hashed(api: Api, world: World) -> None:
    """Whoever reads the table has no code."""
    ada = await world.account()
    phone = await enrolled(api, ada)
    async with world.database.transaction() as unit_of_work:
        stored = [row.code_hash for row in await unit_of_work.rows(HASHES.bindparams(id=ada.id))]

    assert [32] * 10 == [len(hashed) for hashed in stored]
    assert {hashed.hex() for hashed in stored}.isdisjoint(phone.recovery_codes)


@pytest.mark.asvs("6.5.2", "6.5.3", "6.5.4", "11.5.1")
async def test_recovery_codes_are_random(api: Api, world: World) -> None:
    """Each has 28 characters, of 32 that can be told apart: 140 bits. Nobody has one of another's."""
    phones = [await enrolled(api, await world.account()) for _ in range(2)]
    codes = [code.replace("-", "") for phone in phones for code in phone.recovery_codes]

    assert 20 == len({*codes})
    assert {28} == {len(code) for code in codes}
    assert {*"0123456789ABCDEFGHJKMNPQRSTVWXYZ"} == {*"".join(codes)}


@pytest.mark.asvs("6.5.6", "7.5.1")
async def test_renewal(api: Api, world: World) -> None:
    """New codes end the old ones; they need a second factor to stand in for, and a session that has shown it."""
    ada, bob = await world.account(), await world.account("bob")
    other = (await log_in(api, ada)).json()["access_token"]
    phone = await enrolled(api, ada)

    without = await api.as_(bob).post("/auth/mfa/recovery-codes")
    unproven = await api.bearing(other).post("/auth/mfa/recovery-codes")
    renewed = (await api.as_(ada).post("/auth/mfa/recovery-codes")).json()["recovery_codes"]
    old = await verify(api, await challenge_of(api, ada), phone.recovery_codes[0])
    new = await verify(api, await challenge_of(api, ada), renewed[0])

    assert problem(409, "no_second_factor") == without
    assert problem(401, "second_factor_proof_required") == unproven
    assert problem(401, "invalid_code") == old
    assert 200 == new.status_code


@pytest.mark.asvs("6.5.6", "7.5.1")
async def test_removal_needs_the_factor(api: Api, world: World) -> None:
    """A session that knows only the password does not remove the app; once it is gone, all is as before."""
    ada = await world.account()
    other = (await log_in(api, ada)).json()["access_token"]
    phone = await enrolled(api, ada)
    refused = await api.bearing(other).delete("/auth/mfa/totp")
    adding = await api.bearing(other).post("/auth/mfa/totp")
    entered = await enter(api, ada, phone.code(now() + STEP))
    removed = await api.bearing(entered["access_token"]).delete("/auth/mfa/totp")
    free = await log_in(api, ada)
    known = (await api.as_(ada).get("/auth/mfa")).json()

    assert [problem(401, "second_factor_proof_required")] * 2 == [refused, adding]
    assert 204 == removed.status_code
    assert 200 == free.status_code
    assert (None, False, 0) == (known["since"], known["totp"], known["recovery_codes_left"])
