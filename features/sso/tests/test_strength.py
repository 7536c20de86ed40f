"""How far the word of a provider goes: for whom, how strong, and for how long."""

from datetime import timedelta

import pytest
from sqlalchemy import text

from features.sso.tests.browser import Browser, query_of
from features.sso.tests.conftest import Connect
from features.sso.tests.hostile import Hostile
from tenantry.clock import frozen_at, now
from tenantry.config import Settings
from tenantry.ids import new_id
from tenantry.tenancy.directory import as_owner
from tenantry.testing import Api, TenantHandle, problem, subject_of

WITHDRAW = text("DELETE FROM sso_domains WHERE domain = :domain")
CURRENT = "/tenants/current"
MFA_REQUIRED = {"settings": {"mfa": {"required": True}}}
LIMITS = Settings()


@pytest.mark.asvs("6.8.1", "10.5.2")
async def test_subject_of_another_issuer_is_another_person(
    browser: Browser, hostile: Hostile, acme: TenantHandle, provider: str, connect: Connect
) -> None:
    """A tenant's provider that says the subject of somebody at the operator's gets at nobody's account."""
    connection, subject = await connect(acme, hostile.issuer), f"s-{new_id().hex}"
    known = {"email": f"ada-{new_id().hex[-12:]}@example.com", "email_verified": True}
    ada = await browser.arrive(await browser.start(), subject, **known)
    hostile.claims = {"sub": subject, "email": f"eve@{connection['domain']}", "email_verified": True}

    start = await browser.start(connection)
    back = await browser.come_back(hostile.authorize(start.headers["location"]))
    eve = await browser.complete(query_of(back)["sso_code"])
    again = await browser.arrive(await browser.start(), subject, **known | {"email": "another@example.com"})

    assert (200, 200, 200) == (ada.status_code, eve.status_code, again.status_code)
    ids = [subject_of(each.json()["access_token"]) for each in (ada, eve, again)]
    assert ids[0] != ids[1]
    assert ids[0] == ids[2]


@pytest.mark.asvs("6.8.4")
async def test_second_factor_must_be_said(
    browser: Browser, api: Api, hostile: Hostile, acme: TenantHandle, connect: Connect
) -> None:
    """Where a tenant requires one, only who is said to have shown it gets in; what is not said counts as one factor.

    However recent the provider calls its log-in, it is no proof for what needs a fresh one.
    """
    connection = await connect(acme, hostile.issuer)
    await api.as_(acme.owner).patch(CURRENT, json=MFA_REQUIRED)
    outcomes = []
    for said in ({}, {"amr": ["pwd"]}, {"amr": "mfa"}, {"acr": "mfa"}, {"amr": ["pwd", "mfa"]}):
        person = {"sub": "ada", "email": f"ada@{connection['domain']}", "email_verified": True}
        hostile.claims = person | {"auth_time": int(now().timestamp())} | said
        start = await browser.start(connection)
        back = await browser.come_back(hostile.authorize(start.headers["location"]))
        caller = api.bearing((await browser.complete(query_of(back)["sso_code"])).json()["access_token"])
        inside = await caller.get(CURRENT)
        outcomes.append(inside.status_code)
        sensitive = await caller.post("/me/identities/link", json={})

        assert problem(401, "fresh_auth_required") == sensitive
        assert inside.is_success or problem(403, "tenant_requires_second_factor") == inside

    assert [403, 403, 403, 403, 200] == outcomes


@pytest.mark.asvs("7.6.1")
async def test_session_of_a_provider_ends(
    browser: Browser, api: Api, acme: TenantHandle, provider: str, connect: Connect
) -> None:
    """As any other at its limits, whatever the provider thinks; then it is asked again."""
    connection = await connect(acme, provider)
    claims = {"email": f"ada@{connection['domain']}", "email_verified": True}
    tokens = (await browser.arrive(await browser.start(connection), f"s-{new_id().hex}", **claims)).json()
    start, answers = now(), []
    days = (LIMITS.refresh_token_days - 1, 2 * LIMITS.refresh_token_days - 2, LIMITS.session_days - 3)
    for day in (*days, LIMITS.session_days + 1):
        with frozen_at(start + timedelta(days=day)):
            answer = await api.post("/auth/refresh", json={"refresh_token": tokens["refresh_token"]})
        answers.append(answer.status_code)
        tokens = answer.json() if answer.is_success else tokens
    asked = await browser.start(connection)

    assert [200, 200, 200, 401] == answers
    assert 302 == asked.status_code
    assert asked.headers["location"].startswith(provider)


@pytest.mark.asvs("7.6.1")
async def test_withdrawn_domain_brings_nobody_new(
    browser: Browser, api: Api, acme: TenantHandle, provider: str, connect: Connect, settings: Settings
) -> None:
    """Whoever came before still can, and their sessions go on."""
    connection, known = await connect(acme, provider), f"s-{new_id().hex}"
    ada, eve = [{"email": f"{name}@{connection['domain']}", "email_verified": True} for name in ("ada", "eve")]
    first = await browser.arrive(await browser.start(connection), known, **ada)
    with as_owner(settings, writes=True) as owner:
        owner.execute(WITHDRAW.bindparams(domain=connection["domain"]))
    again = await browser.arrive(await browser.start(connection), known, **ada)
    new = await browser.arrive(await browser.start(connection), f"s-{new_id().hex}", **eve)

    assert (200, 200) == (first.status_code, again.status_code)
    assert problem(403, "sso_domain_not_confirmed") == new
    assert 200 == (await api.bearing(first.json()["access_token"]).get(CURRENT)).status_code
