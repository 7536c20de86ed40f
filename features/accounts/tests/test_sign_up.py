import re
from datetime import timedelta

import pytest
from sqlalchemy import text

from tenantry.clock import frozen_at, now
from tenantry.db.database import Database
from tenantry.ids import new_id
from tenantry.testing import PASSWORD, Api, Mailbox, World, problem, subject_of

PERSON = text("SELECT email, name FROM users WHERE id = :id")


def address(name: str = "ada") -> str:
    return f"{name}-{new_id().hex[-12:]}@example.com"


def form(email: str, password: str = PASSWORD) -> dict[str, str]:
    return {"email": email, "password": password, "name": "Ada Lovelace"}


async def test_from_sign_up_to_log_in(api: Api, mailbox: Mailbox, database: Database) -> None:
    """Sign up, open the link in the mail, log in: and there one is."""
    email = address()

    signed_up = await api.post("/auth/signup", json=form(email))
    verified = await api.post("/auth/email/verify", json={"token": mailbox.token(email)})
    login = await api.post("/auth/login", json={"email": email.upper(), "password": PASSWORD})
    async with database.transaction() as unit_of_work:
        person = await unit_of_work.row(PERSON, {"id": subject_of(login.json()["access_token"])})

    assert (202, 204, 200) == (signed_up.status_code, verified.status_code, login.status_code)
    assert (email, "Ada Lovelace") == tuple(person or ())
    expected = {"access_token", "token_type", "expires_in", "refresh_token", "session_id", "tenant_id"}
    assert expected == login.json().keys()
    assert login.json()["tenant_id"] is None


async def test_page_confirms_only_on_its_button(api: Api, mailbox: Mailbox) -> None:
    """Looking at the link's page confirms nothing, pressing its button does."""
    email = address()
    await api.post("/auth/signup", json=form(email))
    token = mailbox.token(email)

    page = await api.get("/auth/email/verify", params={"token": token})
    before = await api.post("/auth/login", json={"email": email, "password": PASSWORD})
    action = re.search(r"action=(\S+)>", page.text)
    assert action is not None
    confirmed = await api.post(action[1].removeprefix("/api/v1"), data={"token": token})
    after = await api.post("/auth/login", json={"email": email, "password": PASSWORD})

    assert problem(401, "invalid_credentials") == before
    assert (200, 200) == (confirmed.status_code, after.status_code)


async def test_page_escapes_its_token(api: Api) -> None:
    """What stands in the link cannot become markup of the page."""
    page = await api.get("/auth/email/verify", params={"token": '"><script>alert(1)</script>'})

    assert "<script>" not in page.text


@pytest.mark.asvs("6.3.8")
async def test_answer_does_not_tell_who_is_registered(api: Api, world: World, mailbox: Mailbox) -> None:
    """A known address gets the same answer as a new one; only its owner's mail differs, and the account stays."""
    ada, email = await world.account(), address()

    known = await api.post("/auth/signup", json=form(ada.email, "another password"))
    new = await api.post("/auth/signup", json=form(email))
    old_password = await api.post("/auth/login", json={"email": ada.email, "password": PASSWORD})
    new_password = await api.post("/auth/login", json={"email": ada.email, "password": "another password"})

    assert (known.status_code, known.json()) == (new.status_code, new.json())
    assert any("already have an account" in mail["Subject"] for mail in mailbox.to(ada.email))
    assert 200 == old_password.status_code
    assert problem(401, "invalid_credentials") == new_password


async def test_link_brings_its_own_password(api: Api, mailbox: Mailbox) -> None:
    """A stranger who signs up with my address after me cannot plant their password behind my link."""
    email = address()
    await api.post("/auth/signup", json=form(email))
    mine = mailbox.token(email)
    await api.post("/auth/signup", json=form(email, "the stranger's password"))

    await api.post("/auth/email/verify", json={"token": mine})
    owner = await api.post("/auth/login", json={"email": email, "password": PASSWORD})
    stranger = await api.post("/auth/login", json={"email": email, "password": "the stranger's password"})
    theirs = await api.post("/auth/email/verify", json={"token": mailbox.token(email)})

    assert 200 == owner.status_code
    assert problem(401, "invalid_credentials") == stranger
    assert problem(400, "invalid_verification") == theirs


@pytest.mark.asvs("6.3.8")
async def test_login_does_not_tell_who_is_registered(api: Api, world: World) -> None:
    """A stranger who signed up with my address learns nothing from a login with the password of that sign-up."""
    ada, nobody = await world.account(), address()
    for email in (ada.email, nobody):
        await api.post("/auth/signup", json=form(email, "the stranger's password"))

    known = await api.post("/auth/login", json={"email": ada.email, "password": "the stranger's password"})
    unknown = await api.post("/auth/login", json={"email": nobody, "password": "the stranger's password"})

    assert problem(401, "invalid_credentials") == known
    assert problem(401, "invalid_credentials") == unknown


async def test_resend_never_renews_a_strangers_sign_up(api: Api, mailbox: Mailbox) -> None:
    """Where an address has two sign-ups, a resend renews neither: it might be the stranger's."""
    email = address()
    await api.post("/auth/signup", json=form(email))
    mine = mailbox.token(email)
    await api.post("/auth/signup", json=form(email, "the stranger's password"))

    resent = await api.post("/auth/email/resend", json={"email": email})
    verified = await api.post("/auth/email/verify", json={"token": mine})
    login = await api.post("/auth/login", json={"email": email, "password": PASSWORD})

    assert 2 == len(mailbox.to(email))
    assert (202, 204, 200) == (resent.status_code, verified.status_code, login.status_code)


@pytest.mark.asvs("6.4.1")
async def test_link_works_once_and_for_a_day(api: Api, mailbox: Mailbox) -> None:
    """A used, an expired and an invented link are refused alike."""
    first, second = address(), address()
    for email in (first, second):
        await api.post("/auth/signup", json=form(email))
    await api.post("/auth/email/verify", json={"token": mailbox.token(first)})

    used = await api.post("/auth/email/verify", json={"token": mailbox.token(first)})
    with frozen_at(now() + timedelta(hours=25)):
        expired = await api.post("/auth/email/verify", json={"token": mailbox.token(second)})
    invented = await api.post("/auth/email/verify", json={"token": "x" * 43})

    assert problem(400, "invalid_verification") == used
    assert problem(400, "invalid_verification") == expired
    assert problem(400, "invalid_verification") == invented


async def test_resend_replaces_the_link_once_a_minute(api: Api, mailbox: Mailbox) -> None:
    """A new link arrives and the old one stops working; a second request within the minute sends nothing."""
    email = address()
    await api.post("/auth/signup", json=form(email))
    old = mailbox.token(email)

    answers = [await api.post("/auth/email/resend", json={"email": email}) for _ in range(2)]
    unknown = await api.post("/auth/email/resend", json={"email": address()})
    replaced = await api.post("/auth/email/verify", json={"token": old})
    works = await api.post("/auth/email/verify", json={"token": mailbox.token(email)})

    assert {(202, '{"status":"verification_sent"}')} == {(r.status_code, r.text) for r in [*answers, unknown]}
    assert 2 == len(mailbox.to(email))
    assert problem(400, "invalid_verification") == replaced
    assert 204 == works.status_code


@pytest.mark.asvs("6.2.1")
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("email", "ada"), ("email", "ada@example"), ("email", "a@b.c\r\nBcc: x@y.z"), ("email", ".a@b.cd"),
        ("email", "a@" + "b" * 260 + ".com"), ("password", "1 3 5 7"), ("password", "x" * 129), ("name", " "),
        ("name", 5),
    ],
)  # fmt: skip
async def test_bad_forms(api: Api, field: str, value: object) -> None:
    """What cannot be an address, a password or a name is named as the fault."""
    response = await api.post("/auth/signup", json=form(address()) | {field: value})

    assert problem(422, "validation_failed") == response
    assert [f"/{field}"] == [fault["pointer"] for fault in response.json()["errors"]]
