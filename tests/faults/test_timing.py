"""How long an answer takes does not tell who has an account. Known and unknown addresses are tried in turns."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from statistics import median
from time import perf_counter

import httpx
import pytest

from tenantry.config import Settings
from tenantry.ids import new_id
from tenantry.testing import PASSWORD, Account, Api, From, World, elsewhere

ROUNDS, SERIES = 11, 4
CLOSE = 1.4
"""The longer median over the shorter: a hash that is left out makes four, a mail that is not kept a half more."""
Ask = Callable[[Api, str], Awaitable[httpx.Response]]
Act = Callable[[], Awaitable[object]]


async def log_in(api: Api, email: str) -> httpx.Response:
    return await api.post("/auth/login", json={"email": email, "password": "wrong"})


async def forget(api: Api, email: str) -> httpx.Response:
    return await api.post("/auth/password/forgot", json={"email": email})


async def sign_up(api: Api, email: str) -> httpx.Response:
    return await api.post("/auth/signup", json={"email": email, "password": PASSWORD, "name": "Ada"})


async def resend(api: Api, email: str) -> httpx.Response:
    return await api.post("/auth/email/resend", json={"email": email})


async def guess(api: Api, account: Account) -> httpx.Response:
    return await log_in(api, account.email)


async def guess_again(api: Api, account: Account) -> httpx.Response:
    return await api.as_(account).post("/auth/reauthenticate", json={"password": "wrong"})


async def guess_at_change(api: Api, account: Account) -> httpx.Response:
    new = {"current_password": "wrong", "password": "seven zebras on a train"}
    return await api.as_(account).post("/auth/password/change", json=new)


async def ratio_of_medians(first: Act, second: Act, rounds: int) -> float:
    """Of two that are done in turns, so that what else the machine does falls on both; at least 1."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        pairs = [(first, seconds[0]), (second, seconds[1])]
        random.shuffle(pairs)
        for act, measured in pairs:
            began = perf_counter()
            await act()
            measured.append(perf_counter() - began)
    slow, fast = sorted(map(median, seconds), reverse=True)
    return slow / fast


async def calmest(first: Act, second: Act, *, rounds: int = ROUNDS) -> float:
    """Of several series: a busy neighbour spoils some, a difference all."""
    best = float("inf")
    for _ in range(SERIES):
        best = min(best, await ratio_of_medians(first, second, rounds))
        if best < CLOSE:
            break
    return best


@pytest.mark.asvs("6.3.8")
@pytest.mark.parametrize("ask", [log_in, forget, sign_up, resend], ids=lambda ask: ask.__name__)
async def test_time_does_not_tell_who_exists(coming_from: From, api: Api, world: World, ask: Ask) -> None:
    """Known and unknown addresses get the same answer in the same time; where links wait, also those that wait."""
    people = [(await world.account()).email for _ in range(ROUNDS * SERIES)]
    if ask is resend:
        people = [f"{new_id()}@example.com" for _ in people]
        assert {202} == {(await sign_up(api, email)).status_code for email in people}
    answers: set[tuple[int, str]] = set()

    async def known() -> None:
        await answered(people.pop())

    async def unknown() -> None:
        await answered(f"{new_id()}@example.com")

    async def answered(email: str) -> None:
        # From anywhere: a network has its limits.
        answer = await ask(coming_from(elsewhere()), email)
        answers.add((answer.status_code, answer.json().get("code", answer.text)))

    await unknown()
    ratio = await calmest(known, unknown)

    assert 1 == len(answers)
    assert ratio < CLOSE


@pytest.mark.asvs("6.3.8")
@pytest.mark.parametrize("ask", [guess, guess_again, guess_at_change], ids=lambda ask: ask.__name__)
async def test_time_does_not_tell_a_lock(
    coming_from: From, world: World, ask: Callable[[Api, Account], Awaitable[httpx.Response]]
) -> None:
    """A wrong password of an account whose guesses are used up takes as long as one that is judged."""
    locked, people = await world.account(), [await world.account() for _ in range(ROUNDS * SERIES)]
    for _ in range(Settings().guesses_per_account):
        await ask(coming_from(elsewhere()), locked)
    answers: set[tuple[int, str]] = set()

    async def answered(account: Account) -> None:
        answer = await ask(coming_from(elsewhere()), account)
        answers.add((answer.status_code, answer.json()["code"]))

    ratio = await calmest(lambda: answered(locked), lambda: answered(people.pop()))

    assert 1 == len(answers)
    assert ratio < CLOSE


async def test_a_difference_is_seen() -> None:
    """Twice as long is noticed in every series."""
    ratio = await calmest(lambda: asyncio.sleep(0.02), lambda: asyncio.sleep(0.04), rounds=3)

    assert ratio > CLOSE
