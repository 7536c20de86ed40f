"""A password that is changed by whoever knows the old one."""

import asyncio
from contextlib import suppress
from datetime import timedelta

import pytest
from litestar import Litestar
from structlog.testing import capture_logs

from tenantry.clock import frozen_at, now
from tenantry.security.passwords import LONGEST_QUEUE, PasswordsBusy
from tenantry.security.plugin import SecurityPlugin
from tenantry.testing import Account, Api, Mailbox, TenantHandle, World, problem

AT_ONCE = asyncio.Semaphore(4)
NEW = "seven zebras on a train"


async def change(api: Api, account: Account, current: str, password: str = NEW) -> object:
    return await api.as_(account).post(
        "/auth/password/change", json={"current_password": current, "password": password}
    )


async def patiently(api: Api, account: Account, current: str) -> object:
    """At most as many at once as the pool of the tests answers in time; beyond, the answer is 503."""
    async with AT_ONCE:
        return await change(api, account, current)


async def log_in(api: Api, account: Account, password: str) -> int:
    answer = await api.post("/auth/login", json={"email": account.email, "password": password})
    return answer.status_code


@pytest.mark.asvs("6.2.2", "7.4.3")
async def test_change_ends_the_other_sessions(api: Api, world: World, mailbox: Mailbox) -> None:
    """The new password logs in and the old one does not; the session that asked goes on, all others end."""
    ada = await world.account()
    other = await api.post("/auth/login", json={"email": ada.email, "password": ada.password})
    changed = await api.as_(ada).post("/auth/password/change", json={"current_password": ada.password, "password": NEW})
    mine = await api.as_(ada).get("/auth/sessions")
    theirs = await api.bearing(other.json()["access_token"]).get("/auth/sessions")
    refreshed = await api.post("/auth/refresh", json={"refresh_token": other.json()["refresh_token"]})

    assert (204, 200) == (changed.status_code, mine.status_code)
    assert problem(401, "session_ended") == theirs
    assert problem(401, "invalid_refresh_token") == refreshed
    assert (401, 200) == (await log_in(api, ada, ada.password), await log_in(api, ada, NEW))
    assert "password was changed" in mailbox.to(ada.email)[-1]["Subject"]


@pytest.mark.asvs("6.2.3", "7.5.1")
async def test_change_needs_the_current_one(api: Api, world: World) -> None:
    """A session alone is not enough, and the answer says which member was wrong."""
    ada = await world.account()
    wrong = await change(api, ada, "not the password")
    anonymous = await api.post("/auth/password/change", json={"current_password": ada.password, "password": NEW})

    assert problem(422, "wrong_password") == wrong
    assert problem(401, "unauthenticated") == anonymous
    assert (200, 401) == (await log_in(api, ada, ada.password), await log_in(api, ada, NEW))


@pytest.mark.asvs("6.2.10")
async def test_passwords_do_not_expire(api: Api, world: World) -> None:
    """One logs in as long as its owner keeps it, and nobody is asked for another."""
    ada = await world.account()
    with frozen_at(now() + timedelta(days=3653)):
        later = await log_in(api, ada, ada.password)

    assert 200 == later


async def test_guesses_are_counted(api: Api, world: World) -> None:
    """Who has taken over a session can try ten passwords, and no more however many at once: then the right one looks
    wrong as well, here and at the log-in.
    """
    ada = await world.account()
    with frozen_at(now()), capture_logs() as lines:
        answers = await asyncio.gather(*(patiently(api, ada, f"guess {n}") for n in range(14)))
        right = await change(api, ada, ada.password)
        login = await log_in(api, ada, ada.password)

    assert 10 == sum(line["event"] == "password.change_refused" for line in lines)
    assert all(problem(422, "wrong_password") == answer for answer in [*answers, right])
    assert 401 == login


@pytest.mark.asvs("6.2.1", "6.2.4", "6.2.11")
@pytest.mark.parametrize(
    ("password", "code"),
    [("short", "validation_failed"), ("iloveyou1", "password_common"), ("Acme-2026!", "password_personal")],
)
async def test_new_password_is_judged(api: Api, acme: TenantHandle, password: str, code: str) -> None:
    """A new password is judged as at the sign-up, and by the names of one's tenants as well."""
    answer = await api.as_(acme.member).post(
        "/auth/password/change", json={"current_password": acme.member.password, "password": password}
    )

    assert problem(422, code) == answer
    assert ["/password"] == [fault["pointer"] for fault in answer.json()["errors"]]


async def test_change_ends_links_on_their_way(api: Api, world: World, mailbox: Mailbox) -> None:
    """A link to a new password, asked for before the change, sets none after it."""
    ada = await world.account()
    await api.post("/auth/password/forgot", json={"email": ada.email})
    token = mailbox.token(ada.email)
    await change(api, ada, ada.password)
    reset = await api.post("/auth/password/reset", json={"token": token, "password": "another one altogether"})

    assert problem(400, "invalid_reset") == reset


async def test_of_two_changes_at_once_one_counts(api: Api, world: World) -> None:
    """Both know the password of before, which only one of them can replace."""
    ada = await world.account()
    answers = await asyncio.gather(*(change(api, ada, ada.password, f"{NEW} number {n}") for n in range(2)))
    works = [await log_in(api, ada, f"{NEW} number {n}") for n in range(2)]

    assert 1 == sum(problem(422, "wrong_password") == answer for answer in answers)
    assert [200, 401] == sorted(works)


async def test_full_queue_is_said(api: Api, world: World, app: Litestar) -> None:
    """With all threads busy and the queue full a change is refused with the time to try again, and changes nothing."""
    ada, passwords = await world.account(), app.plugins.get(SecurityPlugin).passwords

    async def crowd() -> None:
        while True:
            with suppress(PasswordsBusy):
                await passwords.hash(NEW)
            await asyncio.sleep(0)

    waiting = [asyncio.create_task(crowd()) for _ in range(LONGEST_QUEUE + 10)]
    await asyncio.sleep(0)
    refused = await api.as_(ada).post("/auth/password/change", json={"current_password": ada.password, "password": NEW})
    for task in waiting:
        task.cancel()
    await asyncio.wait(waiting)

    assert problem(503, "passwords_busy") == refused
    assert "2" == refused.headers["retry-after"]
    assert 200 == await log_in(api, ada, ada.password)
