"""Owners hear of guesses that look like somebody else's, and not more often than they can bear."""

from datetime import timedelta

import httpx
import pyotp
import pytest

from tenantry.clock import frozen_at, now
from tenantry.testing import Account, Api, Mailbox, World

GUESSED, MISSED = "Right after several wrong attempts", "Somebody may know your password"


async def log_in(api: Api, account: Account, password: str) -> httpx.Response:
    return await api.post("/auth/login", json={"email": account.email, "password": password})


def told(mailbox: Mailbox, account: Account, subject: str) -> int:
    return [str(mail["Subject"]) for mail in mailbox.to(account.email)].count(subject)


@pytest.mark.asvs("6.3.5")
async def test_right_after_several_wrong_ones(api: Api, world: World, mailbox: Mailbox) -> None:
    """Five wrong passwords and a right one: its owner is told from where, once in a day however often it happens."""
    ada, moment = await world.account(), now()
    for part in range(3):
        with frozen_at(moment + part * timedelta(minutes=20)):
            for _ in range(5):
                await log_in(api, ada, "wrong")
            await log_in(api, ada, ada.password)
    in_a_day = told(mailbox, ada, GUESSED)
    with frozen_at(moment + timedelta(days=2)):
        for _ in range(5):
            await log_in(api, ada, "wrong")
        await log_in(api, ada, ada.password)

    assert (1, 2) == (in_a_day, told(mailbox, ada, GUESSED))
    assert "Address: 2001:db8:" in mailbox.to(ada.email)[-1].get_content()


async def test_mistyping_is_no_news(api: Api, world: World, mailbox: Mailbox) -> None:
    """Four wrong ones before a right one, however often, and five that none follows."""
    ada, bob = await world.account(), await world.account("bob")
    for part in range(3):
        with frozen_at(now() + part * timedelta(minutes=20)):
            for _ in range(4):
                await log_in(api, ada, "wrong")
            await log_in(api, ada, ada.password)
    for _ in range(5):
        await log_in(api, bob, "wrong")

    assert (0, 0) == (told(mailbox, ada, GUESSED), told(mailbox, bob, GUESSED))


@pytest.mark.asvs("6.3.5")
async def test_second_step_that_keeps_being_wrong(api: Api, world: World, mailbox: Mailbox) -> None:
    """Who knows the password and not the code is told of at the third try, and once, however long they go on."""
    ada = await world.account()
    secret = (await api.as_(ada).post("/auth/mfa/totp")).json()["secret"]
    code = pyotp.TOTP(secret).at(now())
    await api.as_(ada).post("/auth/mfa/totp/confirm", json={"code": code})
    challenge = (await log_in(api, ada, ada.password)).json()["challenge"]
    counts = []
    for _ in range(8):
        await api.post("/auth/mfa/verify", json={"challenge": challenge, "code": "12345x"})
        counts.append(told(mailbox, ada, MISSED))

    assert [0, 0, *[1] * 6] == counts
