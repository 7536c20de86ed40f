"""Hashing a password takes a moment of a processor; the rest of the service does not wait for it."""

import asyncio
from time import perf_counter

import pytest
from litestar import Litestar

from tenantry.security.passwords import LONGEST_QUEUE, PasswordService
from tenantry.security.plugin import SecurityPlugin
from tenantry.testing import PASSWORD, Account, Api, World, problem

TICK = 0.001
AT_ONCE = 16


@pytest.fixture
def passwords(app: Litestar) -> PasswordService:
    return app.plugins.get(SecurityPlugin).passwords


@pytest.fixture
async def account(world: World) -> Account:
    return await world.account("ada")


def credentials(account: Account, **changed: str) -> dict[str, str]:
    return {"email": account.email, "password": account.password, **changed}


async def longest_stall(done: asyncio.Event) -> float:
    """Seconds that the event loop once kept a waiting coroutine beyond its time."""
    worst = 0.0
    while not done.is_set():
        before = perf_counter()
        await asyncio.sleep(TICK)
        worst = max(worst, perf_counter() - before - TICK)
    return worst


async def test_logins_at_once_do_not_stall_the_loop(api: Api, world: World) -> None:
    """While 16 people log in at once, all with success, the event loop goes on to serve others.

    Of three bursts the calmest counts: hashing on the loop would stall each, a busy neighbour does not.
    """
    stalls, statuses = [], []
    people = [await world.account() for _ in range(AT_ONCE)]
    for _ in range(3):
        done = asyncio.Event()
        stall = asyncio.create_task(longest_stall(done))
        logins = [api.post("/auth/login", json=credentials(person)) for person in people]
        statuses += [response.status_code for response in await asyncio.gather(*logins)]
        done.set()
        stalls.append(await stall)

    print("longest stalls, ms:", [round(seconds * 1000) for seconds in stalls])  # noqa: T201 -- `pytest -s` shows it
    assert [200] * AT_ONCE * 3 == statuses
    assert min(stalls) < 0.15


async def test_who_would_wait_too_long_is_told_so(api: Api, account: Account, passwords: PasswordService) -> None:
    """With the queue full a login is refused at once, with the time to try again; with room it is served."""
    waiting = [asyncio.create_task(passwords.hash(PASSWORD)) for _ in range(LONGEST_QUEUE)]
    await asyncio.sleep(0)
    began = perf_counter()
    refused = await api.post("/auth/login", json=credentials(account))
    seconds = perf_counter() - began
    still_waiting = sum(not task.done() for task in waiting)
    await asyncio.gather(*waiting)
    served = await api.post("/auth/login", json=credentials(account))

    assert problem(503, "passwords_busy") == refused
    assert "2" == refused.headers["retry-after"]
    assert still_waiting > LONGEST_QUEUE / 2
    assert seconds < 1
    assert 200 == served.status_code


async def test_cancelled_login_gives_its_place_back(
    api: Api, world: World, account: Account, passwords: PasswordService
) -> None:
    """Clients that leave amid the hashing keep nobody else from logging in."""
    people = [await world.account() for _ in range(AT_ONCE)]
    logins = [asyncio.create_task(api.post("/auth/login", json=credentials(person))) for person in people]
    while passwords._waiting == 0:  # noqa: ASYNC110 -- nothing tells when hashing begins
        await asyncio.sleep(TICK)
    for login in logins:
        login.cancel()
    await asyncio.wait(logins)
    left = passwords._waiting
    response = await api.post("/auth/login", json=credentials(account))

    assert all(login.cancelled() for login in logins)
    assert (0, 200) == (left, response.status_code)
