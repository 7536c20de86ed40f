import base64
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from litestar import Litestar

from tenantry.clock import now
from tenantry.security.plugin import SecurityPlugin
from tenantry.security.tokens import TokenService
from tenantry.testing import Api, TenantHandle, problem

Change = Callable[[dict[str, Any], dict[str, Any]], None]


def put(part: str, key: str, value: Any) -> Change:
    def change(header: dict[str, Any], claims: dict[str, Any]) -> None:
        target = header if part == "header" else claims
        if value is None:
            target.pop(key)
        else:
            target[key] = value

    return change


def forged(tokens: TokenService, token: str, change: Change) -> str:
    """The token with a change, signed with the real key."""
    header, claims = jwt.get_unverified_header(token), jwt.decode(token, options={"verify_signature": False})
    change(header, claims)
    private = tokens.keys.own.private
    assert private is not None
    # `jwt.encode` would refuse some that a forger could make.
    return jwt.PyJWS().encode(json.dumps(claims).encode(), private, "EdDSA", headers=header)


@pytest.mark.asvs("9.1.3", "9.2.1", "9.2.2", "9.2.3", "9.2.4", "10.3.1", "10.3.3")
@pytest.mark.parametrize(
    "change",
    [
        put("header", "typ", "JWT"), put("header", "jku", "https://example.com/keys"), put("header", "crit", ["x"]),
        put("header", "jwk", {"kty": "OKP"}), put("claims", "iss", "https://example.com"),
        put("claims", "aud", "another"), put("claims", "sub", "nobody"), put("claims", "sid", "none"),
        put("claims", "tid", "nowhere"), put("claims", "tid", 5),
        put("claims", "exp", int((now() - timedelta(hours=1)).timestamp())),
        put("claims", "nbf", int((now() + timedelta(hours=1)).timestamp())),
        put("claims", "auth_time", int((now() + timedelta(hours=1)).timestamp())),
        *(put("claims", claim, None) for claim in ("exp", "iat", "nbf", "sub", "aud", "iss", "jti", "sid")),
    ],
)  # fmt: skip
async def test_every_claim_is_checked(app: Litestar, api: Api, acme: TenantHandle, change: Change) -> None:
    """A token with one claim or header wrong or missing is a 401, even with a good signature."""
    tokens = app.plugins.get(SecurityPlugin).tokens

    response = await api.bearing(forged(tokens, acme.owner.token, change)).get("/auth/sessions")

    assert problem(401, "invalid_token") == response


async def test_untouched_forgery_is_accepted(app: Litestar, api: Api, acme: TenantHandle) -> None:
    """The same construction without a change works: the test above fails for the change's sake."""
    tokens = app.plugins.get(SecurityPlugin).tokens

    response = await api.bearing(forged(tokens, acme.owner.token, lambda _, __: None)).get("/auth/sessions")

    assert 200 == response.status_code


def unsigned(token: str) -> str:
    header = json.dumps({**jwt.get_unverified_header(token), "alg": "none"})
    return with_another_header(token, header).rpartition(".")[0] + "."


def with_public_key_as_secret(token: str) -> str:
    header, claims = jwt.get_unverified_header(token), jwt.decode(token, options={"verify_signature": False})
    return jwt.encode(claims, "x" * 32, "HS256", headers={**header, "alg": "HS256"})


def with_another_key(token: str) -> str:
    header, claims = jwt.get_unverified_header(token), jwt.decode(token, options={"verify_signature": False})
    return jwt.encode(claims, Ed25519PrivateKey.generate(), "EdDSA", headers=header)


def with_another_header(token: str, header: str) -> str:
    return ".".join([base64.urlsafe_b64encode(header.encode()).decode().rstrip("="), *token.split(".")[1:]])


@pytest.mark.asvs("9.1.1", "9.1.2", "11.6.1")
@pytest.mark.parametrize("forge", [unsigned, with_public_key_as_secret, with_another_key, lambda _: "a.b.c"])
async def test_every_signature_is_checked(api: Api, acme: TenantHandle, forge: Callable[[str], str]) -> None:
    """A token without a signature, with another algorithm or of another key is a 401."""
    response = await api.bearing(forge(acme.owner.token)).get("/auth/sessions")

    assert problem(401, "invalid_token") == response


def code_of(answer: httpx.Response) -> str | None:
    code: str | None = answer.json().get("code")
    return code


CLAIMS = ("iss", "aud", "sub", "sid", "tid", "auth_time", "iat", "nbf", "exp")
WRONG: tuple[Any, ...] = (
    "", "x", 0, -1, 2**80, 1e300, 1.5, True, [], ["tenantry"], {}, {"a": 1}, "a" * 2000, "\0", "\ud800",
)  # fmt: skip
IN_THE_PAST = {("iat", 0), ("iat", -1), ("nbf", 0), ("nbf", -1), ("auth_time", 0), ("auth_time", -1)}
"""Well-formed, and true of a token that is old; that it is not too old, `exp` says."""


@pytest.mark.asvs("9.2.1", "10.3.4")
@pytest.mark.parametrize("claim", CLAIMS)
async def test_claims_of_every_shape(app: Litestar, api: Api, acme: TenantHandle, claim: str) -> None:
    """A claim of another type or range is a 401, even with a good signature, and never a 500."""
    tokens = app.plugins.get(SecurityPlugin).tokens
    values = [value for value in WRONG if type(value) is not int or (claim, value) not in IN_THE_PAST]
    accepted = []
    for value in values:
        answer = await api.bearing(forged(tokens, acme.owner.token, put("claims", claim, value))).get("/auth/sessions")
        if (answer.status_code, code_of(answer)) != (401, "invalid_token"):
            accepted.append((value, answer.status_code))

    assert [] == accepted


@pytest.mark.asvs("9.1.3", "9.2.2")
@pytest.mark.parametrize("name", ["alg", "typ", "kid", "crit", "jku", "jwk", "x5u", "b64", "zip"])
async def test_headers_of_every_shape(api: Api, acme: TenantHandle, name: str) -> None:
    """A header that is another than it was is a 401, whatever it is, and never a 500."""
    header = jwt.get_unverified_header(acme.owner.token)
    mutants = [json.dumps({**header, name: value}) for value in (*WRONG, "none", "HS256", None)]
    deep = f'{{"alg": "EdDSA", "typ": "at+jwt", "{name}": {"[" * 9000}{"]" * 9000}}}'
    accepted = []
    for mutant in (*mutants, deep, "[]", "5", "null", "", "{"):
        answer = await api.bearing(with_another_header(acme.owner.token, mutant)).get("/auth/sessions")
        if (answer.status_code, code_of(answer)) != (401, "invalid_token"):
            accepted.append((mutant, answer.status_code))

    assert [] == accepted


@pytest.mark.parametrize("header", ["", "Bearer", "Basic YTpi", "Bearer  "])
async def test_other_credentials(api: Api, header: str) -> None:
    """Without a bearer credential the answer says that one is wanted."""
    response = await api.get("/auth/sessions", headers={"Authorization": header})

    assert problem(401, "unauthenticated") == response
    assert "Bearer" == response.headers["www-authenticate"]
