import asyncio
from datetime import timedelta
from typing import Any

import pytest

from tenantry.clock import frozen_at, now
from tenantry.ids import new_id
from tenantry.security.permissions import Role
from tenantry.testing import PASSWORD, Account, Api, TenantHandle, World, problem


async def log_in(api: Api, account: Account, **more: Any) -> dict[str, Any]:
    response = await api.post("/auth/login", json={"email": account.email, "password": account.password, **more})
    assert 200 == response.status_code, response.text
    tokens: dict[str, Any] = response.json()
    return tokens


async def refresh(api: Api, token: str) -> Any:
    return await api.post("/auth/refresh", json={"refresh_token": token})


@pytest.mark.asvs("6.3.8")
async def test_wrong_password_and_unknown_address_look_alike(api: Api, world: World) -> None:
    """Nobody learns from a failed login whether an account exists."""
    ada = await world.account()

    wrong = await api.post("/auth/login", json={"email": ada.email, "password": "wrong"})
    unknown = await api.post("/auth/login", json={"email": f"{new_id()}@example.com", "password": PASSWORD})

    assert problem(401, "invalid_credentials") == wrong
    assert problem(401, "invalid_credentials") == unknown


async def test_tenant_of_a_login(api: Api, world: World, acme: TenantHandle, globex: TenantHandle) -> None:
    """It is the one asked for, else the last used, else the only one, else none; a foreign one is refused."""
    ada = await world.account()
    none = await log_in(api, ada)
    await acme.admit(ada, Role.member)
    only = await log_in(api, ada)
    await globex.admit(ada, Role.viewer)
    asked = await log_in(api, ada, tenant_id=str(globex.id))
    last = await log_in(api, ada)

    foreign = await api.post("/auth/login", json={"email": ada.email, "password": PASSWORD, "tenant_id": str(new_id())})

    found = [tokens["tenant_id"] for tokens in (none, only, asked, last)]
    assert [None, str(acme.id), str(globex.id), str(globex.id)] == found
    assert problem(403, "tenant_not_available") == foreign


async def test_switch(api: Api, acme: TenantHandle, globex: TenantHandle) -> None:
    """A switch gives a token for another tenant of mine and never for one that is not."""
    mine = await api.as_(acme.owner).post("/auth/switch", json={"tenant_id": str(acme.id)})
    foreign = await api.as_(acme.owner).post("/auth/switch", json={"tenant_id": str(globex.id)})

    assert (200, str(acme.id)) == (mine.status_code, mine.json()["tenant_id"])
    assert problem(403, "tenant_not_available") == foreign


@pytest.mark.asvs("7.2.1", "7.4.1")
async def test_logout_ends_everything_at_once(api: Api, world: World) -> None:
    """After a logout the access token and the refresh token of the session are refused; other sessions go on."""
    ada = await world.account()
    first, second = await log_in(api, ada), await log_in(api, ada)

    out = await api.bearing(first["access_token"]).post("/auth/logout")
    access = await api.bearing(first["access_token"]).get("/auth/sessions")
    refreshed = await refresh(api, first["refresh_token"])
    other = await api.bearing(second["access_token"]).get("/auth/sessions")

    assert 204 == out.status_code
    assert problem(401, "session_ended") == access
    assert problem(401, "invalid_refresh_token") == refreshed
    assert 200 == other.status_code


async def test_refresh_keeps_session_and_tenant(api: Api, acme: TenantHandle) -> None:
    """A refresh gives new tokens for the same session and tenant, also after a switch."""
    tokens = await log_in(api, acme.member)

    renewed = (await refresh(api, tokens["refresh_token"])).json()
    current = await api.bearing(renewed["access_token"]).get("/tenants/current")

    assert (tokens["session_id"], str(acme.id)) == (renewed["session_id"], renewed["tenant_id"])
    assert tokens["refresh_token"] != renewed["refresh_token"]
    assert 200 == current.status_code


@pytest.mark.asvs("10.4.5")
async def test_stolen_refresh_token_ends_the_session(api: Api, world: World) -> None:
    """A refresh token that is used again ends its whole family, although the answer is an error."""
    tokens = await log_in(api, await world.account())
    second = (await refresh(api, tokens["refresh_token"])).json()
    third = (await refresh(api, second["refresh_token"])).json()

    replayed = await refresh(api, tokens["refresh_token"])
    newest = await refresh(api, third["refresh_token"])
    access = await api.bearing(third["access_token"]).get("/auth/sessions")

    assert problem(401, "invalid_refresh_token") == replayed
    assert problem(401, "invalid_refresh_token") == newest
    assert problem(401, "session_ended") == access


async def test_lost_reply_is_forgiven_for_a_moment(api: Api, world: World) -> None:
    """Within the grace the parent of the unused token may be used again, and only the newest descendant lives."""
    tokens = await log_in(api, await world.account())
    lost = (await refresh(api, tokens["refresh_token"])).json()

    again = await refresh(api, tokens["refresh_token"])
    never_arrived = await refresh(api, lost["refresh_token"])
    lives = await refresh(api, again.json()["refresh_token"])

    assert 200 == again.status_code
    assert problem(401, "invalid_refresh_token") == never_arrived
    assert 200 == lives.status_code


async def test_theft_within_the_grace_is_noticed(api: Api, world: World) -> None:
    """A thief who is quick enough to look like a lost reply loses the session once the owner's token is used."""
    tokens = await log_in(api, await world.account())
    owners = (await refresh(api, tokens["refresh_token"])).json()
    thiefs = (await refresh(api, tokens["refresh_token"])).json()

    with frozen_at(now() + timedelta(minutes=10)):
        refused = await refresh(api, owners["refresh_token"])
        stolen = await refresh(api, thiefs["refresh_token"])
    access = await api.bearing(thiefs["access_token"]).get("/auth/sessions")

    assert problem(401, "invalid_refresh_token") == refused
    assert problem(401, "invalid_refresh_token") == stolen
    assert problem(401, "session_ended") == access


async def test_grace_ends(api: Api, world: World) -> None:
    """After the grace the second use of a token is theft."""
    tokens = await log_in(api, await world.account())
    second = (await refresh(api, tokens["refresh_token"])).json()

    with frozen_at(now() + timedelta(seconds=11)):
        replayed = await refresh(api, tokens["refresh_token"])
    descendant = await refresh(api, second["refresh_token"])

    assert problem(401, "invalid_refresh_token") == replayed
    assert problem(401, "invalid_refresh_token") == descendant


@pytest.mark.asvs("7.2.2", "10.4.5")
async def test_concurrent_refreshes_leave_one_descendant(api: Api, world: World) -> None:
    """However many uses of one token race, one of the tokens that they gave is good afterwards."""
    tokens = await log_in(api, await world.account())

    answers = await asyncio.gather(*(refresh(api, tokens["refresh_token"]) for _ in range(50)))
    given = [answer.json()["refresh_token"] for answer in answers if answer.status_code == 200]
    works = [token for token in given if (await refresh(api, token)).status_code == 200]

    assert {answer.status_code for answer in answers} <= {200, 503}  # a busy machine has no connection free
    assert 1 == len(works)


async def test_access_token_expires(api: Api, world: World) -> None:
    """An access token is refused once its ten minutes are over."""
    with frozen_at(now() - timedelta(minutes=11)):
        tokens = await log_in(api, await world.account())

    response = await api.bearing(tokens["access_token"]).get("/auth/sessions")

    assert problem(401, "invalid_token", detail="It has expired.") == response


async def test_oauth_form(api: Api, acme: TenantHandle) -> None:
    """The form that the Authorize button sends gives tokens for both grants; a refusal is the error of OAuth."""
    login = {"grant_type": "password", "username": acme.owner.email, "password": PASSWORD, "scope": ""}

    given = await api.post("/auth/token", data=login)
    renewal = {"grant_type": "refresh_token", "refresh_token": given.json()["refresh_token"]}
    renewed = await api.post("/auth/token", data=renewal)
    refused = await api.post("/auth/token", data={**login, "password": "wrong"})
    as_json = await api.post("/auth/token", json=login)

    assert (200, 200) == (given.status_code, renewed.status_code)
    assert problem(400, "invalid_grant", error="invalid_grant") == refused
    assert problem(415, "unsupported_media_type") == as_json
