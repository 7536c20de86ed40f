import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import text

from features.mfa.tests.people import challenge_of, enrolled, enter, log_in, verify
from tenantry.clock import frozen_at, now
from tenantry.testing import Api, World, problem, subject_of

STEP = timedelta(seconds=30)
METHODS = text("SELECT methods FROM sessions WHERE id = CAST(:id AS uuid)")
STORED = text("SELECT sealed_secret FROM totp_secrets WHERE user_id = :id")


@pytest.mark.asvs("6.3.3")
async def test_enrolment(api: Api, world: World) -> None:
    """An app counts once a first code has confirmed it; ten recovery codes are given with that answer alone."""
    ada = await world.account()
    enrolment = (await api.as_(ada).post("/auth/mfa/totp")).json()
    pending = await log_in(api, ada)
    phone = await enrolled(api, ada)
    known = (await api.as_(ada).get("/auth/mfa")).json()
    waiting = await log_in(api, ada)

    assert enrolment["uri"].startswith("otpauth://totp/Tenantry:")
    assert f"secret={enrolment['secret']}" in enrolment["uri"]
    assert enrolment["qr_svg"].startswith("<svg")
    assert phone.secret != enrolment["secret"]
    assert 200 == pending.status_code
    assert 10 == len({*phone.recovery_codes})
    assert (True, 0, 10) == (known["totp"], known["passkeys"], known["recovery_codes_left"])
    assert problem(401, "second_factor_required") == waiting


async def test_secret_is_sealed(api: Api, world: World) -> None:
    """The database alone gives nobody a code."""
    ada = await world.account()
    phone = await enrolled(api, ada)

    async with world.database.transaction() as unit_of_work:
        stored = await unit_of_work.scalar(STORED.bindparams(id=ada.id))

    assert phone.secret.encode() not in stored


@pytest.mark.asvs("6.3.3")
async def test_second_step_opens_the_session(api: Api, world: World) -> None:
    """Password and code together open a session that knows both."""
    ada = await world.account()
    phone = await enrolled(api, ada)

    tokens = await enter(api, ada, phone.code(now() + STEP))
    async with world.database.transaction() as unit_of_work:
        methods = await unit_of_work.scalar(METHODS.bindparams(id=tokens["session_id"]))

    assert ada.id == subject_of(tokens["access_token"])
    assert ["mfa", "otp", "pwd"] == sorted(methods)
    assert tokens["refresh_token"]


@pytest.mark.asvs("6.5.1")
async def test_code_works_once(api: Api, world: World) -> None:
    """Not the code that confirmed the app, nor one of a log-in, opens a second session."""
    ada = await world.account()
    with frozen_at(now()):
        phone = await enrolled(api, ada)
        confirming = await verify(api, await challenge_of(api, ada), phone.code())
        await enter(api, ada, phone.code(now() + STEP))
        again = await verify(api, await challenge_of(api, ada), phone.code(now() + STEP))

    assert problem(401, "invalid_code") == confirming
    assert problem(401, "invalid_code") == again


@pytest.mark.asvs("6.5.1")
async def test_code_works_once_at_the_same_moment(api: Api, world: World) -> None:
    """Of log-ins that show one code at once, one gets in."""
    ada = await world.account()
    phone = await enrolled(api, ada)
    challenges = [await challenge_of(api, ada) for _ in range(5)]
    code = phone.code(now() + STEP)

    answers = await asyncio.gather(*(verify(api, challenge, code) for challenge in challenges))

    assert [200, 401, 401, 401, 401] == sorted(answer.status_code for answer in answers)


@pytest.mark.asvs("6.6.2")
async def test_challenge_works_once(api: Api, world: World) -> None:
    """Two right codes that race for one challenge open one session."""
    ada = await world.account()
    phone = await enrolled(api, ada)
    challenge = await challenge_of(api, ada)

    codes = (phone.code(now() + STEP), phone.recovery_codes[0], phone.recovery_codes[1])
    answers = await asyncio.gather(*(verify(api, challenge, code) for code in codes))
    late = await verify(api, challenge, phone.recovery_codes[2])

    assert [200, 401, 401] == sorted(answer.status_code for answer in answers)
    assert problem(401, "invalid_challenge") == late


@pytest.mark.asvs("6.5.5", "6.5.8")
@pytest.mark.parametrize(("steps", "status"), [(-2, 401), (-1, 200), (0, 200), (1, 200), (2, 401)])
async def test_drift(api: Api, world: World, steps: int, status: int) -> None:
    """A clock that is wrong by one step is forgiven, and no more."""
    ada = await world.account()
    start = now()
    phone = await enrolled(api, ada)

    with frozen_at(start + timedelta(minutes=5)):
        answer = await verify(api, await challenge_of(api, ada), phone.code(now() + steps * STEP))

    assert status == answer.status_code


@pytest.mark.asvs("6.5.5")
async def test_challenge_ends(api: Api, world: World) -> None:
    """Whoever takes longer than ten minutes for the second step begins again."""
    ada = await world.account()
    phone = await enrolled(api, ada)
    challenge = await challenge_of(api, ada)

    with frozen_at(now() + timedelta(minutes=11)):
        late = await verify(api, challenge, phone.code())

    assert problem(401, "invalid_challenge") == late


async def test_confirmation(api: Api, world: World) -> None:
    """A wrong code confirms nothing, an old enrolment is over, and a second app needs the first one removed."""
    ada, bob = await world.account(), await world.account("bob")
    await api.as_(ada).post("/auth/mfa/totp")
    codes = ("recovery", "١٢٣٤٥٦", "é😀é😀é😀")
    wrong = [await api.as_(ada).post("/auth/mfa/totp/confirm", json={"code": code}) for code in codes]
    free = await log_in(api, ada)
    await enrolled(api, bob)
    second = await api.as_(bob).post("/auth/mfa/totp")
    with frozen_at(now() + timedelta(minutes=61)):
        again = await world.account("again")
        late = await api.as_(again).post("/auth/mfa/totp/confirm", json={"code": "123456"})

    assert [problem(401, "invalid_code")] * 3 == wrong
    assert problem(404, "totp_not_found") == late
    assert 200 == free.status_code
    assert problem(409, "totp_enrolled") == second
