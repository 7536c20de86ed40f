"""An address changes when both ends have said so."""

import re
from datetime import timedelta

import pytest

from tenantry.clock import frozen_at, now
from tenantry.ids import new_id
from tenantry.testing import Account, Api, Mailbox, World, problem


def fresh() -> str:
    return f"countess-{new_id().hex[-12:]}@example.com"


async def begin(api: Api, account: Account, email: str) -> tuple[int, str]:
    answer = await api.as_(account).post("/me/email", json={"email": email})
    return answer.status_code, answer.text


async def confirm(api: Api, token: str) -> object:
    answer = await api.post("/me/email/confirm", json={"token": token})
    return answer.json().get("status") if answer.is_success else answer.json()["code"]


async def address(api: Api, account: Account) -> str:
    return str((await api.as_(account).get("/me")).json()["email"])


@pytest.mark.parametrize("old_first", [True, False])
async def test_both_ends_confirm(api: Api, world: World, mailbox: Mailbox, old_first: bool) -> None:
    """In either order: after one link nothing has changed, after both one logs in with the new address only."""
    ada, new = await world.account(), fresh()
    asked = await begin(api, ada, new.upper())
    tokens = [mailbox.token(ada.email), mailbox.token(new)]
    first, second = tokens if old_first else reversed(tokens)
    once = await confirm(api, first)
    again = await confirm(api, first)
    between = await address(api, ada)
    twice = await confirm(api, second)
    logins = [
        (await api.post("/auth/login", json={"email": email, "password": ada.password})).status_code
        for email in (ada.email, new)
    ]

    assert (202, '{"status":"confirmations_sent"}') == asked
    assert ("waiting", "invalid_address_change", ada.email) == (once, again, between)
    assert ("changed", new, [401, 200]) == (twice, await address(api, ada), logins)
    for email in (ada.email, new):
        assert any("was changed" in mail["Subject"] for mail in mailbox.to(email))
    assert "invalid_address_change" == await confirm(api, second)


@pytest.mark.asvs("6.3.8")
async def test_answer_does_not_tell_whose_the_new_one_is(api: Api, world: World, mailbox: Mailbox) -> None:
    """For somebody's address all answers are the same; its owner learns of it, and gets no link."""
    ada, grace = await world.account("ada"), await world.account("grace")
    free = await begin(api, ada, fresh())
    first_end = await confirm(api, mailbox.token(ada.email))
    taken = await begin(api, ada, grace.email)
    same_end = await confirm(api, mailbox.token(ada.email))
    mail = mailbox.to(grace.email)[-1]

    assert (free, first_end) == (taken, same_end)
    assert "account already" in mail["Subject"]
    assert "token=" not in mail.as_string()
    assert (ada.email, grace.email) == (await address(api, ada), await address(api, grace))


async def test_address_that_was_taken_meanwhile(api: Api, world: World, mailbox: Mailbox) -> None:
    """Who signs up with the address before both ends have confirmed keeps it, and the links end."""
    ada, new = await world.account(), fresh()
    await begin(api, ada, new)
    old_end, new_end = mailbox.token(ada.email), mailbox.token(new)
    await api.post("/auth/signup", json={"email": new, "password": ada.password, "name": "Somebody"})
    await api.post("/auth/email/verify", json={"token": mailbox.token(new)})
    ends = [await confirm(api, old_end), await confirm(api, new_end)]

    assert ["waiting", "invalid_address_change"] == ends
    assert ada.email == await address(api, ada)


async def test_links_expire_and_are_replaced(api: Api, world: World, mailbox: Mailbox) -> None:
    """After a day, and with the next change that is asked for, links are good for nothing."""
    ada, new = await world.account(), fresh()
    await begin(api, ada, new)
    expiring = mailbox.token(ada.email)
    with frozen_at(now() + timedelta(hours=25)):
        expired = await confirm(api, expiring)
    await begin(api, ada, fresh())
    replaced = await confirm(api, expiring)

    assert ["invalid_address_change"] * 3 == [expired, replaced, await confirm(api, mailbox.token(new))]


async def test_old_address_sets_no_password_any_more(api: Api, world: World, mailbox: Mailbox) -> None:
    """A link to a new password that went to the old address ends with the change."""
    ada, new = await world.account(), fresh()
    await api.post("/auth/password/forgot", json={"email": ada.email})
    reset = mailbox.token(ada.email)
    await begin(api, ada, new)
    ends = [await confirm(api, mailbox.token(email)) for email in (ada.email, new)]
    used = await api.post("/auth/password/reset", json={"token": reset, "password": "seven zebras on a train"})

    assert ["waiting", "changed"] == ends
    assert problem(400, "invalid_reset") == used


async def test_page_confirms_only_on_its_button(api: Api, world: World, mailbox: Mailbox) -> None:
    """Looking at a link's page confirms nothing, pressing its button does."""
    ada, new = await world.account(), fresh()
    await begin(api, ada, new)
    for email in (ada.email, new):
        token = mailbox.token(email)
        page = await api.get("/me/email/confirm", params={"token": token})
        action = re.search(r"action=(\S+)>", page.text)
        assert action is not None
        seen = await address(api, ada)
        pressed = await api.post(action[1].removeprefix("/api/v1"), data={"token": token})

        assert (200, 200, ada.email) == (page.status_code, pressed.status_code, seen)
    escaped = await api.get("/me/email/confirm", params={"token": '"><script>alert(1)</script>'})

    assert new == await address(api, ada)
    assert "<script>" not in escaped.text


async def test_ones_own_address_is_said(api: Api, world: World) -> None:
    """Who asks for the address that they have is told so; six changes an hour are too many."""
    ada = await world.account()
    own = await api.as_(ada).post("/me/email", json={"email": ada.email})
    statuses = [(await begin(api, ada, fresh()))[0] for _ in range(5)]

    assert problem(422, "same_address") == own
    assert ["/email"] == [fault["pointer"] for fault in own.json()["errors"]]
    assert [202] * 4 + [429] == statuses
