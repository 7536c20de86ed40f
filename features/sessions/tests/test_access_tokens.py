import base64
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

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
    return jwt.encode(claims, tokens._private_key, "EdDSA", headers=header)


@pytest.mark.parametrize(
    "change",
    [
        put("header", "typ", "JWT"), put("header", "jku", "https://example.com/keys"), put("header", "crit", ["x"]),
        put("header", "jwk", {"kty": "OKP"}), put("claims", "iss", "https://example.com"),
        put("claims", "aud", "another"), put("claims", "sub", "nobody"), put("claims", "sid", "none"),
        put("claims", "tid", "nowhere"), put("claims", "tid", 5),
        put("claims", "exp", int((now() - timedelta(hours=1)).timestamp())),
        put("claims", "nbf", int((now() + timedelta(hours=1)).timestamp())),
        *(put("claims", claim, None) for claim in ("exp", "iat", "nbf", "sub", "aud", "iss", "jti", "sid")),
    ],
)  # fmt: skip
async def test_every_claim_is_checked(app: Litestar, api: Api, acme: TenantHandle, change: Change) -> None:
    """A token with one claim or header wrong or missing is a 401, even with a good signature."""
    tokens = app.plugins.get(SecurityPlugin).tokens

    response = await api.bearing(forged(tokens, acme.owner.token, change)).get("/me")

    assert problem(401, "invalid_token") == response


async def test_untouched_forgery_is_accepted(app: Litestar, api: Api, acme: TenantHandle) -> None:
    """The same construction without a change works: the test above fails for the change's sake."""
    tokens = app.plugins.get(SecurityPlugin).tokens

    response = await api.bearing(forged(tokens, acme.owner.token, lambda _, __: None)).get("/me")

    assert 200 == response.status_code


def unsigned(token: str) -> str:
    header = base64.urlsafe_b64encode(json.dumps({"alg": "none", "typ": "at+jwt"}).encode()).decode().rstrip("=")
    return f"{header}.{token.split('.')[1]}."


def with_public_key_as_secret(token: str) -> str:
    claims = jwt.decode(token, options={"verify_signature": False})
    return jwt.encode(claims, "x" * 32, "HS256", headers={"typ": "at+jwt"})


def with_another_key(token: str) -> str:
    claims = jwt.decode(token, options={"verify_signature": False})
    return jwt.encode(claims, Ed25519PrivateKey.generate(), "EdDSA", headers={"typ": "at+jwt"})


@pytest.mark.parametrize("forge", [unsigned, with_public_key_as_secret, with_another_key, lambda _: "a.b.c"])
async def test_every_signature_is_checked(api: Api, acme: TenantHandle, forge: Callable[[str], str]) -> None:
    """A token without a signature, with another algorithm or of another key is a 401."""
    response = await api.bearing(forge(acme.owner.token)).get("/me")

    assert problem(401, "invalid_token") == response


@pytest.mark.parametrize("header", ["", "Bearer", "Basic YTpi", "Bearer  "])
async def test_other_credentials(api: Api, header: str) -> None:
    """Without a bearer credential the answer says that one is wanted."""
    response = await api.get("/me", headers={"Authorization": header})

    assert problem(401, "unauthenticated") == response
    assert "Bearer" == response.headers["www-authenticate"]
