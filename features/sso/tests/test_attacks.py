"""What a provider, another browser or a thief of addresses may try. The provider is told what to say."""

import hashlib
import hmac
import json
from base64 import urlsafe_b64encode
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization

from features.sso.tests.browser import Browser, query_of
from features.sso.tests.conftest import Connect
from features.sso.tests.hostile import KEY, STRANGE_KEY, Hostile, Mint, signed
from tenantry.clock import frozen_at, now
from tenantry.testing import Api, TenantHandle, World, problem

PEM = KEY.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
LONG = timedelta(minutes=5)


def saying(**claims: Any) -> Mint:
    return lambda _, true: signed({name: value for name, value in (true | claims).items() if value is not None})


def tampered(_: Hostile, claims: dict[str, Any]) -> str:
    """Other claims under a signature that was good for the true ones."""
    head, _claims, signature = signed(claims).split(".")
    return f"{head}.{signed(claims | {'sub': 'eve'}).split('.')[1]}.{signature}"


def by_public_key(_: Hostile, claims: dict[str, Any]) -> str:
    """PyJWT itself would not sign with a public key, so it is taken for plain bytes."""
    times = {name: int(claims[name].timestamp()) for name in ("iat", "exp")}
    parts = [json.dumps(each).encode() for each in ({"alg": "HS256", "typ": "JWT", "kid": "one"}, claims | times)]
    text = ".".join(urlsafe_b64encode(part).decode().rstrip("=") for part in parts)
    seal = hmac.digest(PEM, text.encode(), hashlib.sha256)
    return f"{text}.{urlsafe_b64encode(seal).decode().rstrip('=')}"


LIES: dict[str, Mint] = {
    "nonce of another flow": saying(nonce="another"),
    "no nonce": saying(nonce=None),
    "wrong issuer": saying(iss="https://accounts.example"),
    "token of another client": saying(aud="globex"),
    "issued to another party": saying(aud=["acme", "globex"], azp="globex"),
    "for two, and to nobody says whom": saying(aud=["acme", "globex"]),
    "expired": lambda _, claims: signed(claims | {"exp": now() - LONG}),
    "of the future": lambda _, claims: signed(claims | {"iat": now() + LONG}),
    "without an end": saying(exp=None),
    "without a subject": saying(sub=None),
    "an empty subject": saying(sub=""),
    "unsigned": lambda _, claims: jwt.encode(claims, "", "none", headers={"kid": "one"}),
    "the public key as a shared secret": by_public_key,
    "signed by a stranger": lambda _, claims: signed(claims, STRANGE_KEY),
    "signed by a key of another name": lambda _, claims: signed(claims, kid="two"),
    "tampered": tampered,
    "a critical header that nobody knows": lambda _, claims: signed(claims, crit=["x"], x=1),
    "no token": lambda *_: "e30.e30.e30",
}


@pytest.fixture
async def connection(hostile: Hostile, acme: TenantHandle, connect: Connect) -> dict[str, Any]:
    made = await connect(acme, hostile.issuer)
    hostile.claims = {"email": f"ada@{made['domain']}", "email_verified": True}
    return made


async def sent_back(browser: Browser, hostile: Hostile, connection: dict[str, Any], **changes: str) -> str:
    """The address to which the provider sends the browser."""
    return hostile.authorize((await browser.start(connection)).headers["location"], **changes)


async def code_of(browser: Browser, hostile: Hostile, connection: dict[str, Any]) -> str:
    return query_of(await browser.come_back(await sent_back(browser, hostile, connection)))["sso_code"]


async def test_the_truth_is_believed(browser: Browser, hostile: Hostile, connection: dict[str, Any]) -> None:
    """What all lies below differ from; PKCE and the client's secret are what the provider expects."""
    assert 200 == (await browser.complete(await code_of(browser, hostile, connection))).status_code


@pytest.mark.asvs("6.8.2", "10.5.1", "10.5.4")
@pytest.mark.parametrize("lie", LIES)
async def test_no_lie_is_believed(browser: Browser, hostile: Hostile, connection: dict[str, Any], lie: str) -> None:
    """Each is a 401 and nobody's session."""
    hostile.mint = LIES[lie]

    assert problem(401, "sso_token_invalid") == await browser.complete(await code_of(browser, hostile, connection))


@pytest.mark.asvs("10.1.2", "10.2.1")
async def test_state_is_of_one_browser_and_one_use(
    browser: Browser, other_browser: Browser, hostile: Hostile, connection: dict[str, Any]
) -> None:
    """Neither a victim who is sent an attacker's answer, nor a thief of the address, nor a second use gets anywhere."""
    address = await sent_back(browser, hostile, connection)
    await other_browser.start(connection)

    stolen = await other_browser.come_back(address)
    fresh = await other_browser.request("GET", "/auth/sso/callback", params={"state": "x", "code": "y"})
    first, second = [await browser.come_back(address) for _ in range(2)]

    assert [problem(400, "sso_state_invalid")] * 3 == [stolen, fresh, second]
    assert 302 == first.status_code


@pytest.mark.asvs("7.6.2", "10.1.2")
async def test_code_is_of_one_browser_and_one_use(
    browser: Browser, other_browser: Browser, hostile: Hostile, connection: dict[str, Any]
) -> None:
    """A code that another browser tries is used up, and one that was used is."""
    stolen = await code_of(browser, hostile, connection)
    await other_browser.start(connection)

    attempts = [await each.complete(stolen) for each in (other_browser, browser)]
    own = await code_of(browser, hostile, connection)
    used = [await browser.complete(own) for _ in range(2)]

    assert [problem(400, "sso_code_invalid")] * 2 == attempts
    assert 200 == used[0].status_code
    assert problem(400, "sso_code_invalid") == used[1]


async def test_client_without_cookies_proves_itself(
    browser: Browser, other_browser: Browser, hostile: Hostile, connection: dict[str, Any]
) -> None:
    """With the verifier of the challenge that it gave; the cookie is then no proof."""
    verifier = "v" * 43

    async def code() -> str:
        start = await browser.start(connection, code_challenge=challenge_of(verifier))
        return query_of(await browser.come_back(hostile.authorize(start.headers["location"])))["sso_code"]

    assert 200 == (await other_browser.complete(await code(), code_verifier=verifier)).status_code
    assert problem(400, "sso_code_invalid") == await browser.complete(await code())
    assert problem(400, "sso_code_invalid") == await browser.complete(await code(), code_verifier="w" * 43)


def challenge_of(verifier: str) -> str:
    return urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")


async def test_flows_end(browser: Browser, hostile: Hostile, connection: dict[str, Any]) -> None:
    """Ten minutes at the provider, one for the code."""
    address = await sent_back(browser, hostile, connection)
    with frozen_at(now() + timedelta(minutes=11)):
        late = await browser.come_back(address)
    code = await code_of(browser, hostile, connection)
    with frozen_at(now() + timedelta(minutes=2)):
        later = await browser.complete(code)

    assert problem(400, "sso_state_invalid") == late
    assert problem(400, "sso_code_invalid") == later


@pytest.mark.asvs("10.1.2", "10.2.1")
async def test_code_of_another_flow(browser: Browser, hostile: Hostile, connection: dict[str, Any]) -> None:
    """The provider's code of one flow does not go with the verifier of another."""
    one, two = [await sent_back(browser, hostile, connection) for _ in range(2)]
    mixed = two.replace("code=code-1", "code=code-0")
    assert mixed != two != one

    back = await browser.come_back(mixed)

    assert problem(401, "sso_provider_refused") == await browser.complete(query_of(back)["sso_code"])


@pytest.mark.asvs("10.2.2")
async def test_issuers_are_not_mixed_up(browser: Browser, hostile: Hostile, connection: dict[str, Any]) -> None:
    """An answer that names another issuer than was asked is refused."""
    foreign = await browser.come_back(await sent_back(browser, hostile, connection, iss="https://accounts.example"))
    right = await browser.come_back(await sent_back(browser, hostile, connection, iss=hostile.issuer))

    assert problem(400, "sso_issuer_mismatch") == foreign
    assert 302 == right.status_code


@pytest.mark.asvs("10.2.2")
async def test_promised_issuer_is_missed(browser: Browser, hostile: Hostile, connection: dict[str, Any]) -> None:
    """RFC 9207: where the metadata promise `iss`, an answer without it is of somebody else."""
    hostile.metadata = {"authorization_response_iss_parameter_supported": True}

    assert problem(400, "sso_issuer_mismatch") == await browser.come_back(await sent_back(browser, hostile, connection))


@pytest.mark.asvs("10.5.3")
@pytest.mark.parametrize(
    "metadata",
    [
        {"issuer": "https://accounts.example"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"token_endpoint": None},
    ],
)
async def test_metadata_must_be_of_the_issuer(
    browser: Browser, hostile: Hostile, connection: dict[str, Any], metadata: dict[str, Any]
) -> None:
    """Nobody passes for another issuer, or sends browsers to what is no address of the web."""
    hostile.metadata = metadata

    assert problem(502, "sso_provider_unavailable") == await browser.start(connection)


@pytest.mark.parametrize(
    "answer",
    [
        lambda hostile: f"HTTP/1.1 302 Found\r\nLocation: {hostile.issuer}/jwks\r\nContent-Length: 0\r\n\r\n",
        lambda _: "HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + "x" * 300_000,
        lambda _: "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n[1]",
        lambda _: "nonsense\r\n\r\n",
    ],
)
async def test_answers_are_bounded(
    browser: Browser, hostile: Hostile, connection: dict[str, Any], answer: Callable[[Hostile], str]
) -> None:
    """No redirect is followed, and nothing without end or sense is read."""
    path = "/.well-known/openid-configuration"
    hostile.raw = {path: answer(hostile).encode()}

    assert problem(502, "sso_provider_unavailable") == await browser.start(connection)
    assert [path] == hostile.asked


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_nothing_inside_is_asked(
    api: Api, hostile: Hostile, acme: TenantHandle, connect: Connect, host: str
) -> None:
    """Where no setting names it, an address that is not on the internet is not even connected to."""
    port = hostile.issuer.rpartition(":")[2]
    connection = await connect(acme, f"http://{host}:{port}")
    named = {"tenant_id": connection["tenant_id"], "connection_id": connection["id"]}

    refused = await api.get("/auth/sso/start", params=named)

    assert problem(502, "sso_provider_unavailable") == refused
    assert [] == hostile.asked


async def test_link_stays_with_who_began(
    browser: Browser, hostile: Hostile, world: World, acme: TenantHandle, connection: dict[str, Any]
) -> None:
    """Neither another session ends it, nor does it log anybody in; and the address must be the account's own."""
    ada, eve = [await world.account(name, tenant_id=acme.id) for name in ("ada", "eve")]

    async def link_code() -> str:
        browser.as_(ada)
        body = {"connection_id": connection["id"]}
        begun = await browser.request("POST", "/me/identities/link", json=body)
        return query_of(await browser.come_back(hostile.authorize(begun.json()["authorization_url"])))["sso_code"]

    as_log_in = await browser.complete(await link_code())
    code = await link_code()
    browser.as_(eve)
    by_another = await browser.request("POST", "/me/identities/link/complete", json={"code": code})
    code = await link_code()
    another_address = await browser.request("POST", "/me/identities/link/complete", json={"code": code})

    assert [problem(400, "sso_code_invalid")] * 2 == [as_log_in, by_another]
    assert problem(409, "sso_address_differs") == another_address
