"""`tenantry users …`: what operators do. One is run as a process of its own; to start each would take long."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from features.accounts.commands import users as group
from tenantry.config import Settings
from tenantry.ids import new_id
from tenantry.testing import Api, Mailbox, World, problem
from tenantry.testing.databases import DatabaseUrls
from tenantry.testing.service import environment_of
from tests.contract.commands import tenantry

Run = Callable[..., Awaitable[Result]]


@pytest.fixture
def users(settings: Settings) -> Run:
    async def run(*arguments: str) -> Result:
        invoke = CliRunner(env=environment_of(settings)).invoke
        return await asyncio.to_thread(invoke, group, arguments)

    return run


@pytest.mark.asvs("6.4.1", "6.4.6")
async def test_create_and_set_a_password(
    api: Api, mailbox: Mailbox, users: Run, database_urls: DatabaseUrls, tmp_path: Path
) -> None:
    """An account of an operator has no password; its owner sets one by the link in a mail."""
    email, new = f"grace-{new_id().hex[-12:]}@example.com", "seven zebras on a train"
    made = tenantry(database_urls, tmp_path, f"users create {email.upper()} --name 'Grace Hopper'")
    empty = await api.post("/auth/login", json={"email": email, "password": ""})
    await api.post("/auth/password/forgot", json={"email": email})
    await api.post("/auth/password/reset", json={"token": mailbox.token(email), "password": new})
    login = await api.post("/auth/login", json={"email": email, "password": new})
    me = await api.bearing(login.json()["access_token"]).get("/me")
    again = await users("create", email, "--name", "Somebody Else")

    assert (0, "") == (made.returncode, made.stderr)
    assert problem(401, "invalid_credentials") == empty
    assert (email, "Grace Hopper") == (me.json()["email"], me.json()["name"])
    assert "already" in str(again.exception)


@pytest.mark.asvs("7.4.2", "7.4.5")
async def test_disable_enable_and_revoke(api: Api, users: Run, world: World) -> None:
    """Who is disabled is refused by the next request and every log-in; who is enabled logs in anew."""
    ada = await world.account()
    login = {"email": ada.email, "password": ada.password}
    before = await api.as_(ada).get("/me")
    disabled = await users("disable", ada.email)
    refused, no_login = await api.as_(ada).get("/me"), await api.post("/auth/login", json=login)
    enabled = await users("enable", ada.email)
    session = await api.post("/auth/login", json=login)
    as_ada = api.bearing(session.json()["access_token"])
    works = await as_ada.get("/me")
    revoked = await users("revoke-sessions", ada.email)
    ended = await as_ada.get("/me")

    assert (0, 0, 0) == (disabled.exit_code, enabled.exit_code, revoked.exit_code)
    assert (200, 401, 200, 200) == (before.status_code, refused.status_code, session.status_code, works.status_code)
    assert problem(401, "invalid_credentials") == no_login
    assert problem(401, "session_ended") == ended


async def test_mistakes_are_said(api: Api, users: Run, world: World) -> None:
    """Nobody is disabled by a typing error, what is no address makes no account, what is deleted stays so."""
    ada = await world.account()
    await api.as_(ada).delete("/me")
    unknown = await users("disable", "nobody@example.com")
    wrong = await users("create", "nobody", "--name", "Nobody")
    deleted = await users("enable", f"{ada.id}@deleted.invalid")

    assert "Nobody has an account with this address" in str(unknown.exception)
    assert (2, True) == (wrong.exit_code, "$.email" in wrong.output)
    assert "deleted" in str(deleted.exception)
