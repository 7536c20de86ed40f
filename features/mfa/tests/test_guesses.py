"""Codes are guessed on the same budgets as passwords, and a little more slowly."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial

import httpx
import pytest
from structlog.testing import capture_logs

from features.mfa.tests.people import Phone, challenge_of, enrolled, log_in, verify
from tenantry.clock import frozen_at, now
from tenantry.config import Settings
from tenantry.testing import Account, Api, From, World, elsewhere, problem

STEP = timedelta(seconds=30)
GUESSES = 200
AT_ONCE = asyncio.Semaphore(25)
LIMITS = Settings()
WAIT = timedelta(minutes=10) / LIMITS.guesses_per_account
REFUSALS = ("second-factor.refused", "password.change_refused", "login.refused")
NO_CODE, NO_RECOVERY_CODE = "12345x", "0000-0000-0000-0000-0000-0000"
UNIQUE = {"request_id": "", "instance": ""}
Way = Callable[..., Awaitable[httpx.Response]]


@pytest.mark.asvs("6.6.3")
async def test_parallel_guesses(api: Api, coming_from: From, world: World) -> None:
    """Of 200 guesses at once from as many networks ten are judged; then a right code of either kind looks wrong."""
    ada = await world.account()
    with frozen_at(now()), capture_logs() as lines:
        phone = await enrolled(api, ada)
        challenge = await challenge_of(api, ada)
        guesses = [phone.wrong_code(), NO_RECOVERY_CODE] * (GUESSES // 2)
        asked = (patiently(coming_from(elsewhere()), challenge, guess) for guess in guesses)
        answers = await asyncio.gather(*asked)
        locked = [await verify(api, challenge, code) for code in (phone.code(now() + STEP), phone.recovery_codes[0])]

    judged = [line for line in lines if line["event"] == "second-factor.refused"]
    bodies = {tuple(sorted((answer.json() | UNIQUE).items())) for answer in (*answers, *locked)}
    assert LIMITS.guesses_per_account == len(judged)
    assert [problem(401, "invalid_code")] * 2 == locked
    assert 1 == len(bodies)


async def patiently(api: Api, challenge: str, guess: str) -> httpx.Response:
    """At most as many at once as the pool of the tests answers in time; beyond, the answer is 503."""
    async with AT_ONCE:
        return await verify(api, challenge, guess)


@pytest.mark.asvs("6.3.1", "6.6.3")
async def test_budget_is_of_all_ways(api: Api, coming_from: From, world: World) -> None:
    """Wrong passwords, codes and recovery codes, at a log-in and at the change of the password, take from one budget:
    ten are judged, new challenges or not, then nothing is right on any way, until it fills up again by itself.
    """
    ada, moment = await world.account(), now()
    with frozen_at(moment), capture_logs() as lines:
        phone = await enrolled(api, ada)
        challenges = iter([await challenge_of(api, ada) for _ in range(20)])
        ways: list[Way] = [by_code, by_recovery_code, by_change, by_password]
        guesses = [partial(ways[n % 4], coming_from(elsewhere()), ada, next(challenges)) for n in range(12)]
        await asyncio.gather(*(guess() for guess in guesses))
        refused = [await way(api, ada, next(challenges), right=phone) for way in ways]
    with frozen_at(moment + WAIT):
        free = await by_code(api, ada, next(challenges), right=phone)

    judged = [line for line in lines if line["event"] in REFUSALS]
    wrong = problem(401, "invalid_code"), problem(422, "wrong_password"), problem(401, "invalid_credentials")
    assert LIMITS.guesses_per_account == len(judged)
    assert [wrong[0], *wrong] == refused
    assert 200 == free.status_code


async def by_code(api: Api, ada: Account, challenge: str, *, right: Phone | None = None) -> httpx.Response:
    return await verify(api, challenge, right.code(now() + STEP) if right else NO_CODE)


async def by_recovery_code(api: Api, ada: Account, challenge: str, *, right: Phone | None = None) -> httpx.Response:
    return await verify(api, challenge, right.recovery_codes[0] if right else NO_RECOVERY_CODE)


async def by_change(api: Api, ada: Account, _: str, *, right: Phone | None = None) -> httpx.Response:
    given = {"current_password": ada.password if right else "wrong", "password": "seven zebras on a train"}
    return await api.as_(ada).post("/auth/password/change", json=given)


async def by_password(api: Api, ada: Account, _: str, *, right: Phone | None = None) -> httpx.Response:
    return await log_in(api, replace(ada, password=ada.password if right else "wrong"))


@pytest.mark.asvs("6.6.3")
async def test_codes_of_a_day(api: Api, world: World) -> None:
    """However patient, nobody tries more than some fifty codes of an account in a day."""
    ada, moment, phone = await world.account(), now(), None
    with capture_logs() as lines:
        for part in range(6):
            with frozen_at(moment + part * timedelta(minutes=10)):
                phone = phone or await enrolled(api, ada)
                challenge = await challenge_of(api, ada)
                await asyncio.gather(*(patiently(api, challenge, NO_CODE) for _ in range(12)))

    judged = [line for line in lines if line["event"] == "second-factor.refused"]
    assert 50 <= len(judged) <= 52


async def test_who_is_right_uses_nothing_up(api: Api, world: World) -> None:
    """Right codes are given back, however many there are."""
    ada = await world.account()
    with frozen_at(now()):
        phone = await enrolled(api, ada)
        wrong = [await verify(api, await challenge_of(api, ada), NO_CODE) for _ in range(9)]
        right = [await verify(api, await challenge_of(api, ada), code) for code in phone.recovery_codes[:4]]

    assert {401} == {answer.status_code for answer in wrong}
    assert {200} == {answer.status_code for answer in right}
