"""People without a password prove again who they are at the provider that vouches for their session."""

from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from features.sso.tests.browser import Browser, query_of
from features.sso.tests.conftest import Connect
from features.sso.tests.hostile import Hostile
from features.sso.tests.test_attacks import code_of
from features.sso.tests.test_log_in import person, subject
from tenantry.clock import frozen_at, now
from tenantry.ids import new_id
from tenantry.testing import Api, TenantHandle, World, problem, subject_of

REAUTHENTICATE, COMPLETE = "/auth/sso/reauthenticate", "/auth/sso/reauthenticate/complete"
PROMOTE = text("UPDATE memberships SET role = 'owner' WHERE user_id = :id")
ENROL = text("UPDATE users SET second_factor_at = now() WHERE id = :id")


async def later(browser: Browser, pair: dict[str, Any]) -> Browser:
    """With the access token that the session gets now."""
    browser.headers = {}
    refreshed = await browser.request("POST", "/auth/refresh", json={"refresh_token": pair["refresh_token"]})
    browser.bear(refreshed.json()["access_token"])
    return browser


async def asked(browser: Browser) -> str:
    """Where the provider is to ask who it is."""
    begun = await browser.request("POST", REAUTHENTICATE, json={})
    assert 200 == begun.status_code, begun.text
    return str(begun.json()["authorization_url"])


async def completed(browser: Browser, address: str, complete: str = COMPLETE) -> httpx.Response:
    code = query_of(await browser.come_back(address))["sso_code"]
    return await browser.request("POST", complete, json={"code": code})


async def test_fresh_proof_by_the_operators_provider(browser: Browser, provider: str) -> None:
    """Asked to let the person log in anew, it makes the same session fresh: they can enrol a factor."""
    claims, name, start = person(f"d{new_id().hex}.example"), subject(), now()
    pair = (await browser.arrive(await browser.start(), name, **claims)).json()
    with frozen_at(start + timedelta(hours=1)):
        await later(browser, pair)
        stale = await browser.request("POST", "/auth/mfa/totp")
        url = await asked(browser)
        said = claims | {"auth_time": int(now().timestamp())}
        proven = await completed(browser, await browser.sign_in(url, name, **said))
        browser.bear(proven.json()["access_token"])
        fresh = await browser.request("POST", "/auth/mfa/totp")

    assert problem(401, "fresh_auth_required") == stale
    assert ("login", "0") == (httpx.URL(url).params["prompt"], httpx.URL(url).params["max_age"])
    assert (200, pair["session_id"]) == (proven.status_code, proven.json()["session_id"])
    assert "refresh_token" not in proven.json()
    assert 201 == fresh.status_code


async def test_fresh_proof_by_a_tenants_provider(
    browser: Browser, acme: TenantHandle, provider: str, connect: Connect
) -> None:
    """It is fresh for what its tenant has, and as far from the account as it was."""
    connection = await connect(acme, provider)
    claims, name = person(connection["domain"]), subject()
    pair = (await browser.arrive(await browser.start(connection), name, **claims)).json()
    await acme.run(PROMOTE.bindparams(id=subject_of(pair["access_token"])))
    browser.bear(pair["access_token"])
    stale = await browser.request("DELETE", "/tenants/current")
    proven = await completed(browser, await browser.sign_in(await asked(browser), name, **claims))
    browser.bear(proven.json()["access_token"])
    factor = await browser.request("POST", "/auth/mfa/totp")
    fresh = await browser.request("DELETE", "/tenants/current")

    assert problem(401, "fresh_auth_required") == stale
    assert 200 == proven.status_code
    assert problem(403, "session_confined") == factor
    assert 202 == fresh.status_code


@pytest.mark.parametrize(
    ("seconds", "status"),
    [(0, 200), (-30, 200), (-120, 401), (-3600, 401), (120, 401), ("x", 401), (True, 401), (None, 401)],
)
async def test_time_must_be_of_now(
    browser: Browser, hostile: Hostile, acme: TenantHandle, connect: Connect, seconds: Any, status: int
) -> None:
    """Of before the person was asked, of the future, what is no time at all, and none: refused."""
    connection = await connect(acme, hostile.issuer)
    hostile.claims = {"email": f"ada@{connection['domain']}", "email_verified": True}
    browser.bear((await browser.complete(await code_of(browser, hostile, connection))).json()["access_token"])
    url = await asked(browser)
    said = int(now().timestamp()) + seconds if type(seconds) is int else seconds
    hostile.claims |= {} if said is None else {"auth_time": said}

    assert status == (await completed(browser, hostile.authorize(url))).status_code


async def test_proof_is_of_the_session_and_the_person(
    browser: Browser, other_browser: Browser, world: World, provider: str
) -> None:
    """Neither another session, nor somebody else at the provider, nor a code of another purpose makes it fresh."""
    claims, name = person(f"d{new_id().hex}.example"), subject()
    first = (await browser.arrive(await browser.start(), name, **claims)).json()
    second = (await browser.arrive(await browser.start(), name, **claims)).json()

    browser.bear(first["access_token"])
    back = await browser.sign_in(await asked(browser), name, **claims)
    browser.bear(second["access_token"])
    of_another_session = await completed(browser, back)
    another = await browser.sign_in(await asked(browser), subject(), **claims)
    of_another_person = await completed(browser, another)
    for_a_link = await completed(browser, await browser.sign_in(await asked(browser), name, **claims),
                                 "/me/identities/link/complete")  # fmt: skip
    linking = (await browser.request("POST", "/me/identities/link", json={})).json()["authorization_url"]
    of_a_link = await completed(browser, await browser.sign_in(linking, name, **claims))
    of_a_log_in = await completed(browser, await browser.sign_in((await browser.start()).headers["location"], name))

    assert [problem(400, "sso_code_invalid")] * 4 == [of_another_session, for_a_link, of_a_link, of_a_log_in]
    assert problem(403, "sso_another_identity") == of_another_person


async def test_second_factor_is_asked_for(browser: Browser, api: Api, acme: TenantHandle, provider: str) -> None:
    """Of an account that has one, the operator's provider is the first step here as well."""
    claims, name = person(f"d{new_id().hex}.example"), subject()
    pair = (await browser.arrive(await browser.start(), name, **claims)).json()
    await acme.run(ENROL.bindparams(id=subject_of(pair["access_token"])))
    browser.bear(pair["access_token"])

    proven = await completed(browser, await browser.sign_in(await asked(browser), name, **claims))

    assert problem(401, "second_factor_required") == proven
