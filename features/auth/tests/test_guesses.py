"""How often secrets can be guessed: exact however many guesses come at once, and nobody is locked out by a stranger."""

import asyncio
import dataclasses
import secrets
from collections.abc import Iterator
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

import httpx
import msgspec
import pytest
from litestar import Litestar
from sqlalchemy import text

from tenantry.app import create_app
from tenantry.clock import frozen_at, now
from tenantry.config import Settings
from tenantry.db.database import Database
from tenantry.security.passwords import PasswordService
from tenantry.security.plugin import SecurityPlugin
from tenantry.testing import Account, Api, From, World, clients_of, elsewhere, problem

GUESSES = 200
LIMITS = Settings()
WAIT = timedelta(minutes=10) / LIMITS.guesses_per_account
WRONG = "wrong"


@pytest.fixture
def hashed(app: Litestar) -> Iterator[list[str | None]]:
    """The hashes that passwords were compared with: a guess that was not judged is not among them."""
    passwords: PasswordService = app.plugins.get(SecurityPlugin).passwords
    compared: list[str | None] = []
    verify = passwords.verify

    async def counting(password: str, hashed: str | None) -> bool:
        matches = await verify(password, hashed)
        compared.append(hashed)  # what the queue had no room for was not judged
        return matches

    passwords.verify = counting  # type: ignore[method-assign]  # nothing that a client sees tells how many were judged
    yield compared
    del passwords.verify


async def insisted(api: Api, path: str, **options: Any) -> httpx.Response:
    """The answer, however often a busy machine has no connection to the database free: such a guess was not judged."""
    while (answer := await api.post(path, **options)).status_code == 503:  # noqa: ASYNC110 -- nobody tells when
        await asyncio.sleep(0.1)
    return answer


async def guess(api: Api, account: Account, way: str, password: str = WRONG) -> httpx.Response:
    form: dict[str, Any] = {"grant_type": "password", "username": account.email, "password": password}
    ways: dict[str, dict[str, Any]] = {
        "/auth/login": {"json": {"email": account.email, "password": password}},
        "/auth/reauthenticate": {"json": {"password": password}},
        "/auth/token": {"data": form},
    }
    return await insisted(api.as_(account) if way == "/auth/reauthenticate" else api, way, **ways[way])


def refusal_of(response: httpx.Response) -> Any:
    return response.status_code, {k: v for k, v in response.json().items() if k not in ("request_id", "instance")}


@pytest.mark.asvs("6.1.1", "6.3.1", "6.3.4")
async def test_guesses_at_an_account(coming_from: From, world: World, hashed: list[str | None]) -> None:
    """Of 200 guesses at one moment, from as many networks and by every way, ten are judged; all look alike, and then
    the right password looks wrong as well, until the budget fills up again, evenly and by itself.
    """
    ada, moment = await world.account(), now()
    ways = ["/auth/login", "/auth/reauthenticate"]
    with frozen_at(moment):
        asked = [guess(coming_from(elsewhere()), ada, ways[n % 2]) for n in range(GUESSES)]
        answers = await asyncio.gather(*asked)
        judged = len(hashed)
        right = await guess(coming_from(elsewhere()), ada, "/auth/login", ada.password)
        by_form = await guess(coming_from(elsewhere()), ada, "/auth/token", ada.password)
    with frozen_at(moment + WAIT - timedelta(seconds=1)):
        early = await guess(coming_from(elsewhere()), ada, "/auth/login", ada.password)
    with frozen_at(moment + WAIT):
        later = await guess(coming_from(elsewhere()), ada, "/auth/login", ada.password)

    assert LIMITS.guesses_per_account == judged
    assert [] == [answer.text for answer in answers if refusal_of(answer) != refusal_of(right)]
    assert problem(401, "invalid_credentials") == right
    assert problem(400, "invalid_grant") == by_form
    assert (401, 200) == (early.status_code, later.status_code)


@pytest.mark.asvs("6.3.1")
async def test_guesses_from_a_network(coming_from: From, world: World, hashed: list[str | None]) -> None:
    """Of 120 guesses at one moment from the addresses of one network, 20 get 429, and it holds for every way in; those
    who are in stay so, since nobody guesses a refresh token.
    """
    ada, network = await world.account(), elsewhere().removesuffix("1")
    with frozen_at(now()):
        answers = await asyncio.gather(*(guess(coming_from(f"{network}{n:x}"), ada, "/auth/login") for n in range(120)))
        neighbour = coming_from(f"{network}ffff")
        other = await guess(neighbour, await world.account(), "/auth/token")
        refresh = await neighbour.post("/auth/refresh", json={"refresh_token": "none"})
    statuses = [answer.status_code for answer in answers]
    refused = next(answer for answer in answers if answer.status_code == 429)

    assert {401: LIMITS.guesses_per_network, 429: 20} == {status: statuses.count(status) for status in statuses}
    assert problem(429, "too_many_attempts") == refused
    assert problem(429, "too_many_attempts") == other
    assert problem(401, "invalid_refresh_token") == refresh
    assert LIMITS.guesses_per_account == len(hashed)


@pytest.mark.asvs("6.1.1")
async def test_nobody_is_locked_out_by_a_stranger(coming_from: From, world: World) -> None:
    """While a stranger keeps guessing, a person comes in from where they have been before, and from nowhere else."""
    ada, home = await world.account(), elsewhere()
    first = await guess(coming_from(home), ada, "/auth/login", ada.password)
    with frozen_at(now()):
        for _ in range(LIMITS.guesses_per_account):
            await guess(coming_from(elsewhere()), ada, "/auth/login")
        at_home = await guess(coming_from(home), ada, "/auth/login", ada.password)
        not_at_home = await guess(coming_from(elsewhere()), ada, "/auth/login", ada.password)

    assert (200, 200) == (first.status_code, at_home.status_code)
    assert problem(401, "invalid_credentials") == not_at_home


async def test_home_has_a_budget_too(coming_from: From, world: World, hashed: list[str | None]) -> None:
    """Whoever guesses from a network that the account knows is stopped like any other."""
    ada, home = await world.account(), elsewhere()
    await guess(coming_from(home), ada, "/auth/login", ada.password)
    hashed.clear()
    with frozen_at(now()):
        await asyncio.gather(*(guess(coming_from(home), ada, "/auth/login") for _ in range(50)))

    assert LIMITS.guesses_per_account == len(hashed)


async def test_who_is_right_uses_nothing_up(api: Api, world: World) -> None:
    """People who log in with the right password never wait, however often they do."""
    ada = await world.account()
    with frozen_at(now()):
        answers = [await guess(api, ada, "/auth/login", ada.password) for _ in range(LIMITS.guesses_per_account + 2)]

    assert {200} == {answer.status_code for answer in answers}


async def test_address_that_nobody_has(coming_from: From, world: World, hashed: list[str | None]) -> None:
    """An address without an account has the same budget, so that a lock tells nobody who exists."""
    ada = await world.account()
    nobody = dataclasses.replace(ada, email=f"nobody-{ada.email}")
    with frozen_at(now()):
        answers = await asyncio.gather(*(guess(coming_from(elsewhere()), nobody, "/auth/login") for _ in range(50)))

    assert LIMITS.guesses_per_account == len(hashed)
    assert 1 == len({str(refusal_of(answer)) for answer in answers})


@pytest.mark.asvs("6.3.4", "7.4.2")
async def test_disabled_account(api: Api, world: World, database: Database) -> None:
    """A disabled account looks like a wrong password, and its sessions do not work."""
    ada = await world.account()
    wrong = await guess(api, ada, "/auth/login")
    async with database.transaction() as unit_of_work:
        disable = text("UPDATE users SET disabled_at = now() WHERE id = :id")
        await unit_of_work.execute(disable.bindparams(id=ada.id))
    disabled = await guess(api, ada, "/auth/login", ada.password)

    assert refusal_of(wrong) == refusal_of(disabled)
    assert problem(401, "account_disabled") == await api.as_(ada).get("/auth/sessions")


async def test_refresh_tokens_are_not_guessed(coming_from: From, world: World) -> None:
    """Of 120 refresh tokens at one moment that are none, by both ways, 20 get 429; no other network is touched, and
    whoever logs in from this one is not.
    """
    ada = await world.account()
    thief, other = coming_from(elsewhere()), coming_from(elsewhere())

    async def refresh(api: Api, number: int = 0) -> httpx.Response:
        token = secrets.token_urlsafe()
        if number % 2:
            return await insisted(api, "/auth/token", data={"grant_type": "refresh_token", "refresh_token": token})
        return await insisted(api, "/auth/refresh", json={"refresh_token": token})

    with frozen_at(now()):
        answers = await asyncio.gather(*(refresh(thief, number) for number in range(120)))
        untouched = await refresh(other)
        login = await guess(thief, ada, "/auth/login", ada.password)

    assert 20 == [answer.status_code for answer in answers].count(429)
    assert problem(401, "invalid_refresh_token") == untouched
    assert 200 == login.status_code


async def test_keys_of_programs_are_not_guessed(coming_from: From) -> None:
    """What is no key of a service account counts for its network by the same measure."""
    thief = coming_from(elsewhere())
    form = {"grant_type": "client_credentials", "client_id": "robot", "client_secret": "wrong"}
    with frozen_at(now()):
        asked = (insisted(thief, "/auth/token", data=form) for _ in range(LIMITS.guesses_per_network + 5))
        statuses = [answer.status_code for answer in await asyncio.gather(*asked)]

    assert (LIMITS.guesses_per_network, 5) == (statuses.count(401), statuses.count(429))


async def test_all_strangers_together(app: Litestar, world: World, settings: Settings) -> None:
    """Beyond what all strangers may guess together, be it refused by a lock or judged, a stranger gets 429, and people
    where they were before do not.
    """
    ada, bob = await world.account(), await world.account("bob")
    nobody, in_all = dataclasses.replace(bob, email=f"nobody-{bob.email}"), LIMITS.guesses_per_account + 2
    service = create_app(msgspec.structs.replace(settings, guesses_in_all=in_all))
    async with service.lifespan(), AsyncExitStack() as clients:
        coming_from = clients_of(service, clients)
        home = coming_from(elsewhere())
        first = await guess(home, ada, "/auth/login", ada.password)
        with frozen_at(now()):
            for _ in range(in_all):
                await guess(coming_from(elsewhere()), nobody, "/auth/login")
            stranger = await guess(coming_from(elsewhere()), bob, "/auth/login", bob.password)
            at_home = await guess(home, ada, "/auth/login", ada.password)

    assert problem(429, "too_many_attempts") == stranger
    assert (200, 200) == (first.status_code, at_home.status_code)
