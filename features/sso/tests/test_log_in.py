"""Log-ins at a provider that nobody here wrote."""

from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from sqlalchemy import text

from features.sso.tests.browser import RETURN_URLS, Browser, query_of
from features.sso.tests.conftest import Connect
from tenantry.ids import new_id
from tenantry.testing import Api, TenantHandle, World, problem, subject_of

MEMBER = text(
    "SELECT concat_ws(' ', email, name, role) FROM memberships JOIN users ON users.id = user_id WHERE user_id = :id"
)


def person(domain: str) -> dict[str, Any]:
    return {"email": f"Ada-{new_id().hex[-12:]}@{domain}", "email_verified": True, "name": "Ada Lovelace"}


def subject() -> str:
    return f"s-{new_id().hex}"


async def test_first_arrival_makes_a_member(
    browser: Browser, api: Api, acme: TenantHandle, globex: TenantHandle, provider: str, connect: Connect
) -> None:
    """With a verified address of a confirmed domain: an account, in the connection's role."""
    connection = await connect(acme, provider, default_role="viewer")
    claims, name = person(connection["domain"]), subject()

    first = await browser.arrive(await browser.start(connection), name, **claims)
    again = await browser.arrive(await browser.start(connection), name, **claims)
    arrived = await acme.scalar(MEMBER.bindparams(id=subject_of(first.json()["access_token"])))
    members = await acme.scalar(text("SELECT count(*) FROM memberships"))

    assert [200, 200] == [first.status_code, again.status_code]
    assert first.json()["tenant_id"] == str(acme.id)
    assert f"{claims['email'].lower()} Ada Lovelace viewer" == arrived
    assert 5 == members


async def test_session_is_confined(
    browser: Browser, api: Api, world: World, acme: TenantHandle, globex: TenantHandle, provider: str, connect: Connect
) -> None:
    """A tenant's own provider opens no other tenant, whoever it says that somebody is."""
    connection = await connect(acme, provider)
    pair = (await browser.arrive(await browser.start(connection), subject(), **person(connection["domain"]))).json()
    caller = api.bearing(pair["access_token"])
    statement = text("INSERT INTO memberships (id, user_id, role, created_at, updated_at)"
                     " VALUES (:id, :user, 'admin', now(), now())")  # fmt: skip
    await globex.run(statement.bindparams(id=new_id(), user=subject_of(pair["access_token"])))

    switched = await caller.post("/auth/switch", json={"tenant_id": str(globex.id)})
    sensitive = await caller.post("/me/identities/link", json={})
    identities = await caller.get("/me/identities")
    listed = (await caller.get("/tenants")).json()["items"]

    assert problem(403, "tenant_not_available") == switched
    assert problem(401, "fresh_auth_required") == sensitive
    assert problem(403, "session_confined") == identities
    assert [str(acme.id)] == [tenant["id"] for tenant in listed]


async def test_address_leads_to_the_connection(
    browser: Browser, acme: TenantHandle, provider: str, connect: Connect
) -> None:
    """By its domain, once that is confirmed."""
    connection = await connect(acme, provider)

    found = await browser.start(email=f"ada@{connection['domain'].upper()}")
    unknown = await browser.start(email="ada@unknown.example")

    assert "acme" == query_of(found)["client_id"]
    assert problem(404, "sso_connection_not_found") == unknown


@pytest.mark.asvs("6.8.1", "10.5.2")
async def test_account_is_linked_only_by_its_owner(
    browser: Browser, api: Api, world: World, acme: TenantHandle, provider: str
) -> None:
    """An address that has an account is refused; its owner links the identity, and from then on it logs them in."""
    ada, name = await world.account("ada", tenant_id=acme.id), subject()
    claims = {"email": ada.email, "email_verified": True}

    refused = await browser.arrive(await browser.start(), name, **claims)
    browser.as_(ada)
    begun = await browser.request("POST", "/me/identities/link", json={})
    back = await browser.come_back(await browser.sign_in(begun.json()["authorization_url"], name, **claims))
    linked = await browser.request("POST", "/me/identities/link/complete", json={"code": query_of(back)["sso_code"]})
    browser.headers = {}
    pair = await browser.arrive(await browser.start(), name, **claims)
    listed = await api.as_(ada).get("/me/identities")
    unlinked = await api.as_(ada).delete(f"/me/identities/{linked.json()['id']}")
    forgotten = await browser.arrive(await browser.start(), name, **claims)

    assert problem(409, "account_exists") == refused
    assert 201 == linked.status_code
    assert ada.id == subject_of(pair.json()["access_token"])
    assert [(provider, name)] == [(each["issuer"], each["subject"]) for each in listed.json()]
    assert 204 == unlinked.status_code
    assert problem(409, "account_exists") == forgotten


async def test_operators_provider_opens_a_whole_session(browser: Browser, api: Api, provider: str) -> None:
    """It is trusted as a password is: whoever comes for the first time gets an account of their own."""
    claims = person(f"d{new_id().hex}.example")

    pair = (await browser.arrive(await browser.start(), subject(), **claims)).json()
    caller = api.bearing(pair["access_token"])
    founded = await caller.post("/tenants", json={"name": "New", "slug": f"t{new_id().hex}"})

    assert pair["tenant_id"] is None
    assert 201 == founded.status_code


@pytest.mark.asvs("6.3.4")
async def test_second_factor_is_asked_for(browser: Browser, world: World, acme: TenantHandle, provider: str) -> None:
    """Of an account that has one, the operator's provider is the first step only."""
    claims, name = person(f"d{new_id().hex}.example"), subject()
    await browser.arrive(await browser.start(), name, **claims)
    enrolled = text("UPDATE users SET second_factor_at = now() WHERE email = :email")
    await acme.run(enrolled.bindparams(email=claims["email"].lower()))

    assert problem(401, "second_factor_required") == await browser.arrive(await browser.start(), name, **claims)


async def test_addresses_must_be_verified_and_of_the_domain(
    browser: Browser, acme: TenantHandle, provider: str, connect: Connect
) -> None:
    """What a tenant's provider says of other addresses is not even compared with the accounts that there are."""
    connection = await connect(acme, provider)
    known = {"email": acme.member.email, "email_verified": True}
    own = person(connection["domain"])

    outside = await browser.arrive(await browser.start(connection), subject(), **known)
    doubtful = [
        await browser.arrive(await browser.start(connection), subject(), **own | {"email_verified": verified})
        for verified in (False, "true", None)
    ]
    nobody = await browser.arrive(await browser.start(connection), subject())

    assert problem(403, "sso_domain_not_confirmed") == outside
    assert [problem(403, "sso_address_not_verified")] * 4 == [*doubtful, nobody]


@pytest.mark.asvs("6.3.4")
async def test_who_was_removed_stays_out(browser: Browser, acme: TenantHandle, provider: str, connect: Connect) -> None:
    """The provider lets nobody in again whom the tenant has removed, nor whose account is disabled."""
    connection = await connect(acme, provider)
    claims, name = person(connection["domain"]), subject()
    await browser.arrive(await browser.start(connection), name, **claims)
    removing = text("DELETE FROM memberships USING users WHERE users.id = user_id AND users.email = :email")
    await acme.run(removing.bindparams(email=claims["email"].lower()))
    removed = await browser.arrive(await browser.start(connection), name, **claims)
    disabling = text("UPDATE users SET disabled_at = now() WHERE email = :email")
    await acme.run(disabling.bindparams(email=claims["email"].lower()))
    disabled = await browser.arrive(await browser.start(connection), name, **claims)

    assert problem(403, "sso_not_a_member") == removed
    assert problem(403, "sso_account_refused") == disabled


@pytest.mark.asvs("3.7.2")
async def test_only_listed_addresses_are_returned_to(browser: Browser, provider: str) -> None:
    """Exactly those: nothing that begins or ends like one."""
    wrong = [
        "https://evil.example/",
        f"{RETURN_URLS[0]}.evil.example",
        f"{RETURN_URLS[0]}/../evil",
        f"{RETURN_URLS[0]}?to=evil",
        "//app.example/done",
        "javascript:alert(1)",
    ]

    refused = [await browser.start(return_to=address) for address in wrong]
    back = await browser.come_back(
        await browser.sign_in((await browser.start(return_to=RETURN_URLS[1])).headers["location"], subject())
    )

    assert [problem(400, "sso_return_url_not_allowed")] * len(wrong) == refused
    assert back.headers["location"].startswith(f"{RETURN_URLS[1]}&sso_code=")


@pytest.mark.asvs("3.3.1", "3.3.2", "3.3.3", "3.3.4", "10.1.1", "10.2.3", "11.5.1")
async def test_nothing_of_worth_is_in_addresses(browser: Browser, provider: str) -> None:
    """The redirect carries a code for this browser; the cookie is for this host, TLS and no script."""
    start = await browser.start()
    back = await browser.come_back(await browser.sign_in(start.headers["location"], subject()))
    asked = query_of(start)

    assert {"sso_code"} == query_of(back).keys()
    assert "no-store" == start.headers["cache-control"]
    cookie = start.headers["set-cookie"].lower()
    assert all(part in cookie for part in ("__host-", "secure", "httponly", "samesite=lax", "path=/"))
    assert "domain=" not in cookie
    assert ("code", "S256", "openid email profile") == (
        asked["response_type"], asked["code_challenge_method"], asked["scope"]
    )  # fmt: skip
    assert all(len(asked[name]) >= 43 for name in ("state", "nonce", "code_challenge"))
    assert urlsplit(start.headers["location"]).netloc == urlsplit(provider).netloc


async def test_denial_is_told(browser: Browser, provider: str) -> None:
    """What the provider says instead of a code comes back as a word of a short list."""
    state = query_of(await browser.start())["state"]
    told = await browser.come_back(f"x?state={state}&error=access_denied")
    other = query_of(await browser.start())["state"]
    untold = await browser.come_back(f"x?state={other}&error=<script>")

    assert isinstance(told, httpx.Response)
    assert ["access_denied", "provider_error"] == [query_of(each)["sso_error"] for each in (told, untold)]
