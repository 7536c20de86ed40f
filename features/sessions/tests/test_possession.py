"""Tokens that are bound to a key of their holder: without its proof whoever has stolen one has nothing."""

import asyncio
import hashlib
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import jwt
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import get_default_algorithms

from tenantry.app import create_app
from tenantry.clock import frozen_at, now
from tenantry.config import Settings
from tenantry.ids import new_id
from tenantry.security.possession import base64url
from tenantry.testing import Account, Api, TenantHandle, World, asgi_client, problem

MINE = "/auth/sessions"
Change = Callable[[dict[str, Any], dict[str, Any]], object]


class Holder:
    """A client with a key, that of a proof."""

    def __init__(self, api: Api, base_url: str, key: Any = None, algorithm: str = "ES256") -> None:
        self.api, self.base_url, self.algorithm = api, base_url, algorithm
        self.key = key or ec.generate_private_key(ec.SECP256R1())

    def proof(self, method: str, path: str, token: str | None = None, change: Change | None = None) -> str:
        to_jwk: Any = get_default_algorithms()[self.algorithm]
        jwk = to_jwk.to_jwk(self.key.public_key(), as_dict=True)
        header = {
            "typ": "dpop+jwt",
            "jwk": {name: jwk[name] for name in jwk.keys() & {"kty", "crv", "x", "y", "n", "e"}},
        }
        claims: dict[str, Any] = {
            "htm": method, "htu": f"{self.base_url}/api/v1{path}", "iat": int(now().timestamp()), "jti": str(new_id()),
        }  # fmt: skip
        if token is not None:
            claims["ath"] = base64url(hashlib.sha256(token.encode()).digest())
        if change is not None:
            change(header, claims)
        return jwt.encode(claims, self.key, self.algorithm, headers=header)

    async def log_in(self, account: Account, **headers: str) -> httpx.Response:
        headers = {"DPoP": self.proof("POST", "/auth/login")} | headers
        body = {"email": account.email, "password": account.password}
        return await self.api.post("/auth/login", json=body, headers=headers)

    async def get(self, path: str, token: str, proof: str | None = None, scheme: str = "DPoP") -> httpx.Response:
        proof = self.proof("GET", path, token) if proof is None else proof
        return await self.api.get(path, headers={"Authorization": f"{scheme} {token}", "DPoP": proof})

    async def refresh(self, token: str) -> httpx.Response:
        headers = {"DPoP": self.proof("POST", "/auth/refresh")}
        return await self.api.post("/auth/refresh", json={"refresh_token": token}, headers=headers)


@pytest.fixture
def holder(api: Api, settings: Settings) -> Holder:
    return Holder(api, settings.base_url)


@pytest.fixture
def thief(api: Api, settings: Settings) -> Holder:
    return Holder(api, settings.base_url)


@pytest.mark.asvs("10.3.5")
async def test_stolen_token_is_worth_nothing(holder: Holder, thief: Holder, api: Api, world: World) -> None:
    """The holder of the key gets in; nobody else does, be it without a proof, with one of theirs, or as a bearer."""
    answer = await holder.log_in(await world.account())
    token = answer.json()["access_token"]

    assert (200, "DPoP") == (answer.status_code, answer.json()["token_type"])
    assert 200 == (await holder.get(MINE, token)).status_code
    stolen = [
        await api.bearing(token).get(MINE),
        await api.get(MINE, headers={"Authorization": f"DPoP {token}"}),
        await api.get(MINE, headers={"Cookie": f"__Host-tenantry-access={token}"}),
        await thief.get(MINE, token),
        await holder.get(MINE, token, scheme="Bearer"),
        await holder.get(MINE, token, holder.proof("GET", MINE, ""), scheme="Bearer"),
    ]
    assert [problem(401, "invalid_dpop_proof")] * 6 == stolen
    assert stolen[0].headers["www-authenticate"].startswith('DPoP error="invalid_dpop_proof", algs="ES256 ')


@pytest.mark.asvs("10.3.5")
async def test_stolen_refresh_token_is_worth_nothing(holder: Holder, thief: Holder, api: Api, world: World) -> None:
    """It works with a proof of the session's key alone, and what comes of it is bound to that key."""
    first = (await holder.log_in(await world.account())).json()
    refused = [
        await api.post("/auth/refresh", json={"refresh_token": first["refresh_token"]}),
        await thief.refresh(first["refresh_token"]),
    ]
    renewed = await holder.refresh(first["refresh_token"])

    assert [problem(401, "invalid_dpop_proof")] * 2 == refused
    assert (200, "DPoP") == (renewed.status_code, renewed.json()["token_type"])
    assert problem(401, "invalid_dpop_proof") == await api.bearing(renewed.json()["access_token"]).get(MINE)


async def test_token_that_is_bound_to_no_key(holder: Holder, world: World) -> None:
    """It is no bound one, whatever proof it comes with; and a session without a key gets none by a proof."""
    ada = await world.account()
    pair = (await holder.api.post("/auth/login", json={"email": ada.email, "password": ada.password})).json()
    renewed = await holder.refresh(pair["refresh_token"])

    assert problem(401, "unauthenticated") == await holder.get(MINE, ada.token)
    assert "Bearer" == renewed.json()["token_type"]


@pytest.mark.parametrize(
    ("algorithm", "key"),
    [
        ("ES256", ec.generate_private_key(ec.SECP256R1())),
        ("EdDSA", ed25519.Ed25519PrivateKey.generate()),
        ("RS256", rsa.generate_private_key(public_exponent=65537, key_size=2048)),
        ("PS256", rsa.generate_private_key(public_exponent=65537, key_size=2048)),
    ],
    ids=["ES256", "EdDSA", "RS256", "PS256"],
)
async def test_kinds_of_keys(api: Api, settings: Settings, world: World, algorithm: str, key: Any) -> None:
    """Each that is listed in the challenge."""
    holder = Holder(api, settings.base_url, key, algorithm)
    tokens = (await holder.log_in(await world.account())).json()

    assert 200 == (await holder.get(MINE, tokens["access_token"])).status_code


def put(part: str, name: str, value: object) -> Change:
    return lambda header, claims: {"header": header, "claims": claims}[part].__setitem__(name, value)


def drop(part: str, name: str) -> Change:
    return lambda header, claims: {"header": header, "claims": claims}[part].pop(name)


SHAPES: list[object] = [None, "", "x", 0, -1, 2**63, 1e308, True, [], ["x"], {}, {"x": "y"}, "\x00", "\ud800"]
FIELDS = [("header", "typ"), ("header", "jwk"), *(("claims", name) for name in ("htm", "htu", "iat", "jti", "ath"))]


@pytest.mark.parametrize(("part", "name"), FIELDS, ids=lambda each: each)
async def test_each_field_of_a_proof_is_checked(
    holder: Holder, thief: Holder, world: World, part: str, name: str
) -> None:
    """Left out or of any other shape it is a 401, never more and never a 500."""
    token = (await holder.log_in(await world.account())).json()["access_token"]
    wrong = [value for value in SHAPES if not (name == "jti" and value in ("x", "\x00"))]
    changes = [drop(part, name), *(put(part, name, value) for value in wrong)]
    statuses = []
    for change in changes:
        try:
            proof = holder.proof("GET", MINE, token, change)
        except (TypeError, ValueError, UnicodeEncodeError, jwt.PyJWTError):
            continue  # no client could send it
        statuses.append((await holder.get(MINE, token, proof)).status_code)

    assert len(statuses) > len(changes) // 2
    assert {401} == {*statuses}


@pytest.mark.parametrize(
    "change",
    [
        put("claims", "htm", "POST"),
        put("claims", "htu", "https://evil.example/api/v1/auth/sessions"),
        put("claims", "htu", "http://127.0.0.1:8000/api/v1/me"),
        lambda _, claims: claims.update(iat=claims["iat"] - 80),
        lambda _, claims: claims.update(iat=claims["iat"] + 30),
        put("claims", "jti", "x" * 129),
        put("header", "crit", ["b64"]),
        lambda header, _: header["jwk"].update(d="AAAA"),
        lambda header, _: header["jwk"].update(crv="P-384"),
    ],
    ids=["method", "host", "path", "old", "future", "long id", "critical", "private key", "curve"],
)
async def test_proof_is_of_one_request(holder: Holder, world: World, change: Change) -> None:
    """Of this method at this address of this service, now, by a public key."""
    token = (await holder.log_in(await world.account())).json()["access_token"]

    assert problem(401, "invalid_dpop_proof") == await holder.get(MINE, token, holder.proof("GET", MINE, token, change))


async def test_proof_without_an_asymmetric_key(holder: Holder, world: World) -> None:
    """Neither unsigned nor signed with a secret that the proof brings along."""
    token = (await holder.log_in(await world.account())).json()["access_token"]
    claims = jwt.decode(holder.proof("GET", MINE, token), options={"verify_signature": False})
    secret = {"kty": "oct", "k": base64url(b"s" * 32)}
    forged = [
        jwt.encode(claims, "", "none", headers={"typ": "dpop+jwt", "jwk": secret}),
        jwt.encode(claims, b"s" * 32, "HS256", headers={"typ": "dpop+jwt", "jwk": secret}),
    ]

    assert [problem(401, "invalid_dpop_proof")] * 2 == [await holder.get(MINE, token, proof) for proof in forged]


async def test_proof_is_good_once(holder: Holder, world: World) -> None:
    """Of ten that come at once with one proof, one is let in; and two proofs in one request are none."""
    token = (await holder.log_in(await world.account())).json()["access_token"]
    proof = holder.proof("GET", MINE, token)
    answers = await asyncio.gather(*(holder.get(MINE, token, proof) for _ in range(10)))
    two = await holder.api.client.get(
        f"/api/v1{MINE}",
        headers=[("Authorization", f"DPoP {token}"), *(("DPoP", holder.proof("GET", MINE, token)) for _ in range(2))],
    )

    assert [200] + [401] * 9 == sorted(answer.status_code for answer in answers)
    assert problem(401, "invalid_dpop_proof") == two


async def test_proof_with_a_query_in_the_address(holder: Holder, acme: TenantHandle) -> None:
    """`htu` has no query, whatever the request has."""
    token = (await holder.log_in(acme.owner)).json()["access_token"]
    proof = holder.proof("GET", "/tenants", token)
    answer = await holder.api.get(
        "/tenants", params={"limit": 5}, headers={"Authorization": f"dpop {token}", "DPoP": proof}
    )

    assert 200 == answer.status_code


async def test_old_token_and_new_proof(holder: Holder, world: World) -> None:
    """The token ends when it ends, the session's next one is bound as well."""
    tokens = (await holder.log_in(await world.account())).json()
    with frozen_at(now() + timedelta(minutes=11)):
        ended = await holder.get(MINE, tokens["access_token"])
        renewed = (await holder.refresh(tokens["refresh_token"])).json()
        again = await holder.get(MINE, renewed["access_token"])

    assert problem(401, "invalid_token") == ended
    assert 200 == again.status_code


async def test_switch_keeps_the_binding(holder: Holder, acme: TenantHandle) -> None:
    """A token of another tenant, in the same session, is bound to the same key."""
    token = (await holder.log_in(acme.owner)).json()["access_token"]
    headers = {"Authorization": f"DPoP {token}", "DPoP": holder.proof("POST", "/auth/switch", token)}
    switched = await holder.api.post("/auth/switch", json={"tenant_id": str(acme.id)}, headers=headers)

    assert "DPoP" == switched.json()["token_type"]
    assert problem(401, "invalid_dpop_proof") == await holder.api.bearing(switched.json()["access_token"]).get(MINE)


async def test_service_below_a_path(settings: Settings, world: World) -> None:
    """Where a proxy takes a part of the public address away, clients write the whole of it into their proofs."""
    address = "https://api.example/tenantry"
    service = create_app(msgspec.structs.replace(settings, public_url=address))
    async with service.lifespan(), asgi_client(service) as client:
        holder = Holder(Api(client), address)
        answer = await holder.log_in(await world.account())
        mine = await holder.get(MINE, answer.json()["access_token"])

    assert (200, 200) == (answer.status_code, mine.status_code)


async def test_form_of_oauth(holder: Holder, world: World) -> None:
    """OAuth clients get bound tokens by their own form, and are told of a bad proof as they know it."""
    ada = await world.account()
    form = {"grant_type": "password", "username": ada.email, "password": ada.password}
    proofs = [holder.proof("POST", "/auth/token"), holder.proof("POST", "/auth/login")]
    bound, refused = [await holder.api.post("/auth/token", data=form, headers={"DPoP": proof}) for proof in proofs]

    assert "DPoP" == bound.json()["token_type"]
    assert problem(400, "invalid_grant_proof", error="invalid_dpop_proof") == refused


async def test_cookies_are_bound_to_no_key(holder: Holder, settings: Settings, world: World) -> None:
    """A browser sends them without any proof, so asking for both is refused."""
    headers = {"X-Session-Mode": "cookie", "Origin": settings.base_url, "Sec-Fetch-Site": "same-origin"}

    assert problem(401, "invalid_dpop_proof") == await holder.log_in(await world.account(), **headers)


@pytest.mark.parametrize("binding", [None, "x", [], {}, {"jkt": None}, {"jkt": ""}, {"jkt": 1}, {"x5t#S256": "x"}])
async def test_binding_of_any_other_shape(api: Api, world: World, binding: object) -> None:
    """A token whose `cnf` says nothing that this service understands is no token."""
    ada = await world.account()
    claims = jwt.decode(ada.token, options={"verify_signature": False})
    key = world.tokens.keys.signing
    headers = {"kid": key.id, "typ": "at+jwt"}
    assert key.private is not None
    forged = jwt.encode(json.loads(json.dumps(claims | {"cnf": binding})), key.private, key.algorithm, headers=headers)

    assert problem(401, "invalid_token") == await api.bearing(forged).get(MINE)
