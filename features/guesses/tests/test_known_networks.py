"""Networks where an account is at home: who makes one, and how much all of them together may guess."""

from datetime import datetime, timedelta

import httpx
import pyotp
import pytest
from sqlalchemy import text

from tenantry.clock import frozen_at, now
from tenantry.config import Settings
from tenantry.testing import Account, Api, From, TenantHandle, World, elsewhere, problem

LIMITS = Settings()
GUESSING = timedelta(minutes=10)
HOMES, A_DAY = 3, 50
CONFINE = text("UPDATE sessions SET only_tenant_id = :tenant WHERE user_id = :user")


async def log_in(api: Api, account: Account, password: str | None = None) -> httpx.Response:
    given = account.password if password is None else password
    return await api.post("/auth/login", json={"email": account.email, "password": given})


async def homes_of(account: Account, coming_from: From, count: int) -> list[Api]:
    """Networks where its owner has logged in."""
    homes = [coming_from(elsewhere()) for _ in range(count)]
    assert [200] * count == [(await log_in(home, account)).status_code for home in homes]
    return homes


async def guess(api: Api, account: Account, times: int = LIMITS.guesses_per_account) -> None:
    for _ in range(times):
        await log_in(api, account, "wrong")


async def use_up_as_strangers(account: Account, coming_from: From) -> None:
    for _ in range(LIMITS.guesses_per_account):
        await guess(coming_from(elsewhere()), account, 1)


@pytest.mark.asvs("6.3.1")
async def test_refresh_makes_no_home(coming_from: From, world: World) -> None:
    """Whoever has somebody's refresh token is a stranger wherever they carry it, and their guesses are strangers'."""
    ada = await world.account()
    session = (await log_in(coming_from(elsewhere()), ada)).json()
    thief = coming_from(elsewhere())
    token = (await thief.post("/auth/refresh", json={"refresh_token": session["refresh_token"]})).json()["access_token"]
    with frozen_at(now()):
        await use_up_as_strangers(ada, coming_from)
        right = await thief.bearing(token).post("/auth/reauthenticate", json={"password": ada.password})

    assert problem(401, "invalid_credentials") == right


async def test_home_stays_one_after_a_refresh_elsewhere(coming_from: From, world: World) -> None:
    """Where somebody has logged in they are known, wherever their session has been since."""
    ada, home = await world.account(), coming_from(elsewhere())
    session = (await log_in(home, ada)).json()
    await coming_from(elsewhere()).post("/auth/refresh", json={"refresh_token": session["refresh_token"]})
    with frozen_at(now()):
        await use_up_as_strangers(ada, coming_from)
        right = await log_in(home, ada)

    assert 200 == right.status_code


async def test_word_of_a_tenants_provider_makes_no_home(coming_from: From, acme: TenantHandle) -> None:
    """A session that is confined to a tenant says nothing of where its owner is."""
    ada = acme.member
    (home,) = await homes_of(ada, coming_from, 1)
    await acme.run(CONFINE.bindparams(tenant=acme.id, user=ada.id))
    with frozen_at(now()):
        await use_up_as_strangers(ada, coming_from)
        right = await log_in(home, ada)

    assert problem(401, "invalid_credentials") == right


@pytest.mark.asvs("6.3.1")
async def test_all_homes_together(coming_from: From, world: World) -> None:
    """Three times as much as one of them, however many there are; whoever guesses in one does not shut the others."""
    ada = await world.account()
    *homes, last = await homes_of(ada, coming_from, HOMES + 1)
    moment = now()
    with frozen_at(moment):
        answers = []
        for home in homes:
            answers.append(await log_in(last, ada))
            await guess(home, ada)
        shut = await log_in(last, ada)
    with frozen_at(moment + GUESSING / (HOMES * LIMITS.guesses_per_account)):
        later = await log_in(last, ada)

    assert [200] * HOMES == [answer.status_code for answer in answers]
    assert problem(401, "invalid_credentials") == shut
    assert 200 == later.status_code


@pytest.mark.asvs("6.3.1", "6.6.3")
async def test_second_steps_of_all_homes(coming_from: From, world: World) -> None:
    """Some fifty wrong codes in a day from all together, then not even the right one; strangers have fifty more."""
    ada = await world.account()
    homes = await homes_of(ada, coming_from, 6)
    *guessing, last = homes
    secret = (await last.as_(ada).post("/auth/mfa/totp")).json()["secret"]
    moment = now()
    code = pyotp.TOTP(secret).at(moment)
    assert 200 == (await last.as_(ada).post("/auth/mfa/totp/confirm", json={"code": code})).status_code

    async def second_step(api: Api, code: str) -> httpx.Response:
        challenge = (await log_in(api, ada)).json()["challenge"]
        return await api.post("/auth/mfa/verify", json={"challenge": challenge, "code": code})

    async def right(api: Api, at: datetime) -> httpx.Response:
        with frozen_at(at):
            return await second_step(api, pyotp.TOTP(secret).at(at))

    for number, home in enumerate(guessing):
        with frozen_at(moment + number * GUESSING):
            for _ in range(A_DAY // len(guessing)):
                await second_step(home, "12345x")
    evening = moment + (len(guessing) + 1) * GUESSING
    with frozen_at(evening):
        for _ in range(5):
            await second_step(last, "12345x")
    at_home, as_stranger = await right(last, evening), await right(coming_from(elsewhere()), evening)

    assert problem(401, "invalid_code") == at_home
    assert 200 == as_stranger.status_code
