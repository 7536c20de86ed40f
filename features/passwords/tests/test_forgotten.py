"""A forgotten password, from the mail to the next log-in."""

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import pytest
from litestar import Litestar
from sqlalchemy import TextClause, text

from tenantry.clock import frozen_at, now
from tenantry.db.database import Database
from tenantry.ids import new_id
from tenantry.testing import Account, Api, Mailbox, World, asgi_client, problem

NEW = "seven zebras on a train"
SECOND_FACTOR = text("UPDATE users SET second_factor_at = now() WHERE id = :id")
DISABLE = text("UPDATE users SET disabled_at = now() WHERE id = :id")


@pytest.fixture
async def caller(app: Litestar) -> AsyncIterator[Api]:
    """A client from a network of its own, so that no other test uses up what that one may ask."""
    address = f"2001:db8:{new_id().hex[-4:]}:{new_id().hex[-8:-4]}::1"
    async with asgi_client(app, address=address, url="http://evil.example") as client:
        yield Api(client)


async def change(database: Database, statement: TextClause, account: Account) -> None:
    async with database.transaction() as unit_of_work:
        await unit_of_work.execute(statement, {"id": account.id})


async def forgot(api: Api, email: str) -> httpx.Response:
    return await api.post("/auth/password/forgot", json={"email": email})


async def reset(api: Api, token: str, password: str = NEW) -> httpx.Response:
    return await api.post("/auth/password/reset", json={"token": token, "password": password})


async def log_in(api: Api, account: Account, password: str) -> httpx.Response:
    return await api.post("/auth/login", json={"email": account.email, "password": password})


async def test_from_mail_to_log_in(caller: Api, world: World, mailbox: Mailbox) -> None:
    """The link sets a password, which logs in; the old one does not, and every session has ended."""
    ada = await world.account()
    asked = await forgot(caller, ada.email.upper())
    unused = await caller.as_(ada).get("/auth/sessions")
    done = await reset(caller, mailbox.token(ada.email))
    old, new = await log_in(caller, ada, ada.password), await log_in(caller, ada, NEW)
    session = await caller.as_(ada).get("/auth/sessions")

    assert (202, {"status": "reset_sent"}, 200, 204, 200) == (
        asked.status_code, asked.json(), unused.status_code, done.status_code, new.status_code,
    )  # fmt: skip
    assert problem(401, "invalid_credentials") == old
    assert problem(401, "session_ended") == session
    assert any("password was changed" in mail["Subject"] for mail in mailbox.to(ada.email))


async def test_link_names_the_public_url_only(caller: Api, world: World, mailbox: Mailbox) -> None:
    """What a client calls the service, `evil.example` here, never comes into a mail."""
    ada = await world.account()
    await caller.post("/auth/password/forgot", json={"email": ada.email}, headers={"X-Forwarded-Host": "evil.example"})
    mail = mailbox.to(ada.email)[-1].as_string()

    assert "evil.example" not in mail


@pytest.mark.asvs("6.4.1")
async def test_link_works_once_and_for_half_an_hour(caller: Api, world: World, mailbox: Mailbox) -> None:
    """A used, an expired and an invented link are refused alike; the first use of one ends the account's others."""
    ada = await world.account()
    tokens = []
    for _ in range(2):
        await forgot(caller, ada.email)
        tokens.append(mailbox.token(ada.email))
    with frozen_at(now() + timedelta(minutes=31)):
        expired = await reset(caller, tokens[0])
    used = [(await reset(caller, token)).status_code for token in (tokens[1], tokens[1], tokens[0])]
    invented = await reset(caller, "x" * 43)

    assert [204, 400, 400] == used
    assert problem(400, "invalid_reset") == expired
    assert problem(400, "invalid_reset") == invented


async def test_of_many_uses_at_once_one_counts(caller: Api, world: World, mailbox: Mailbox) -> None:
    """A link that five requests carry at the same moment sets one password."""
    ada = await world.account()
    await forgot(caller, ada.email)
    token = mailbox.token(ada.email)

    answers = await asyncio.gather(*(reset(caller, token, f"{NEW} number {n}") for n in range(5)))

    assert [204, 400, 400, 400, 400] == sorted(answer.status_code for answer in answers)


async def test_refused_password_leaves_the_link(caller: Api, world: World, mailbox: Mailbox) -> None:
    """Whoever chooses a bad password may choose again."""
    ada = await world.account("ada")
    await forgot(caller, ada.email)
    token = mailbox.token(ada.email)
    common, personal = await reset(caller, token, "password1"), await reset(caller, token, "!Ada-1815!")
    good = await reset(caller, token)

    assert problem(422, "password_common") == common
    assert problem(422, "password_personal") == personal
    assert [{"/password"}, {"/password"}] == [
        {fault["pointer"] for fault in answer.json()["errors"]} for answer in (common, personal)
    ]
    assert 204 == good.status_code


async def test_reset_keeps_the_second_factor(caller: Api, world: World, mailbox: Mailbox, database: Database) -> None:
    """A new password neither logs in nor takes the second factor away."""
    ada = await world.account()
    await change(database, SECOND_FACTOR, ada)
    await forgot(caller, ada.email)
    done = await reset(caller, mailbox.token(ada.email))
    login = await log_in(caller, ada, NEW)

    assert (204, b"") == (done.status_code, done.content)
    assert problem(401, "second_factor_required") == login


async def test_disabled_stays_so(caller: Api, world: World, mailbox: Mailbox, database: Database) -> None:
    """Who is disabled gets no link, and one of before is good for nothing."""
    ada = await world.account()
    await forgot(caller, ada.email)
    token = mailbox.token(ada.email)
    await change(database, DISABLE, ada)
    mails = len(mailbox.to(ada.email))
    asked, used = await forgot(caller, ada.email), await reset(caller, token)

    assert (202, mails) == (asked.status_code, len(mailbox.to(ada.email)))
    assert problem(400, "invalid_reset") == used


async def test_page_sets_only_on_its_button(caller: Api, world: World, mailbox: Mailbox) -> None:
    """The link shows a form; what it sends sets the password, and a bad one is explained on the same page."""
    ada = await world.account()
    await forgot(caller, ada.email)
    token = mailbox.token(ada.email)
    page = await caller.get("/auth/password/reset", params={"token": token})
    action = re.search(r"action=(\S+)>", page.text)
    assert action is not None
    path = action[1].removeprefix("/api/v1")
    common = await caller.post(path, data={"token": token, "password": "password1"})
    good = await caller.post(path, data={"token": token, "password": NEW})
    login = await log_in(caller, ada, NEW)
    escaped = await caller.get("/auth/password/reset", params={"token": '"><script>alert(1)</script>'})

    assert (200, 422, 200, 200) == (page.status_code, common.status_code, good.status_code, login.status_code)
    assert "choose another" in common.text
    assert token in common.text
    assert "<script>" not in escaped.text


async def test_three_mails_an_hour(caller: Api, world: World, mailbox: Mailbox) -> None:
    """One address gets three mails an hour, whoever asks; the answers stay the same."""
    ada = await world.account()
    answers = [await forgot(caller, ada.email) for _ in range(5)]
    with frozen_at(now() + timedelta(minutes=61)):
        await forgot(caller, ada.email)

    assert {(202, '{"status":"reset_sent"}')} == {(answer.status_code, answer.text) for answer in answers}
    assert 4 == len(mailbox.to(ada.email))


async def test_one_network_does_not_ask_for_everybody(caller: Api, app: Litestar) -> None:
    """After 60 requests within an hour a network, for IPv6 a /64, waits; others do not."""
    statuses = [(await forgot(caller, f"{new_id()}@example.com")).status_code for _ in range(60)]
    refused = await forgot(caller, f"{new_id()}@example.com")
    async with asgi_client(app, address=f"2001:db9:{new_id().hex[-4:]}::1") as client:
        elsewhere = await forgot(Api(client), f"{new_id()}@example.com")

    assert {202} == {*statuses}
    assert problem(429, "too_many_attempts") == refused
    assert 202 == elsewhere.status_code
