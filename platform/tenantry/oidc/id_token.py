"""Whether an ID token is to be believed: OpenID Connect Core 1.0, section 3.1.3.7, by an allow-list of algorithms."""

import hmac
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import msgspec
from jwt.types import Options

from tenantry.clock import now
from tenantry.oidc.errors import InvalidIdToken, ProofNotFresh

__all__ = ("Claims", "Expected", "UnknownKey", "believed", "key_for")

KEY_TYPES = {
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), "RSA"),
    **dict.fromkeys(("ES256", "ES384", "ES512"), "EC"),
    "EdDSA": "OKP",
}
"""No `none`, and nothing symmetric: a public key must never be a shared secret."""
CLOCK_SKEW = timedelta(seconds=60)
LONGEST_SUBJECT, LONGEST_TOKEN = 255, 32_768
CHECKS: Options = {
    "require": ["iss", "sub", "aud", "exp", "iat"],
    "enforce_minimum_key_length": True,
    # By a clock that tests can move.
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
}


class UnknownKey(InvalidIdToken):
    """Its key is none that was read: the provider may have a new one."""


class Expected(msgspec.Struct, frozen=True):
    """Of the flow that asked for the token."""

    issuer: str
    client_id: str
    nonce: str
    since: datetime | None = None
    """When the person was asked to log in anew, if they were."""


class Claims(msgspec.Struct, frozen=True):
    issuer: str
    subject: str
    email: str | None
    email_verified: bool
    name: str | None
    methods: tuple[str, ...]
    """`amr`, as RFC 8176 names them."""
    authenticated_at: datetime | None
    """`auth_time`: when they last logged in there, if the provider says so."""


def key_for(token: str, keys: list[dict[str, Any]]) -> jwt.PyJWK:
    """The one key that its header names, or the only one that fits."""
    try:
        header = jwt.get_unverified_header(token) if len(token) <= LONGEST_TOKEN else {}
    except jwt.PyJWTError as error:
        raise InvalidIdToken from error
    algorithm, name = header.get("alg"), header.get("kid")
    if not isinstance(algorithm, str) or algorithm not in KEY_TYPES:
        raise InvalidIdToken
    fitting = [key for key in keys if fits(key, algorithm) and (name is None or key.get("kid") == name)]
    if len(fitting) != 1:
        raise UnknownKey
    try:
        return jwt.PyJWK.from_dict(fitting[0], algorithm=algorithm)
    except (jwt.PyJWTError, ValueError, TypeError) as error:
        raise InvalidIdToken from error


def fits(key: dict[str, Any], algorithm: str) -> bool:
    return (
        key.get("kty") == KEY_TYPES[algorithm]
        and key.get("use", "sig") == "sig"
        and key.get("alg", algorithm) == algorithm
    )


def believed(token: str, key: jwt.PyJWK, expected: Expected) -> Claims:
    """
    Raises:
        InvalidIdToken: anything of it is not as it was asked for.
        ProofNotFresh: it does not say that the person has logged in since they were asked to.
    """
    try:
        claims = jwt.decode(
            token,
            key,
            algorithms=[key.algorithm_name],
            audience=expected.client_id,
            issuer=expected.issuer,
            options=CHECKS,
        )
        expires, issued = (datetime.fromtimestamp(int(claims[name]), UTC) for name in ("exp", "iat"))
        starts = datetime.fromtimestamp(int(claims.get("nbf", claims["iat"])), UTC)
    except (jwt.PyJWTError, ValueError, TypeError, OverflowError, OSError) as error:
        raise InvalidIdToken from error
    is_current = max(issued, starts) - CLOCK_SKEW <= now() < expires + CLOCK_SKEW
    if not is_current or not is_for(claims, expected):
        raise InvalidIdToken
    said = claims_of(claims)
    if expected.since is not None and not is_fresh(said.authenticated_at, expected.since):
        raise ProofNotFresh
    return said


def is_fresh(authenticated_at: datetime | None, since: datetime) -> bool:
    """`max_age=0` asks for a log-in, and only `auth_time` says that there was one: section 3.1.2.1."""
    return authenticated_at is not None and since - CLOCK_SKEW <= authenticated_at <= now() + CLOCK_SKEW


def is_for(claims: dict[str, Any], expected: Expected) -> bool:
    """Of the very flow, for this client and for no other that could have obtained it."""
    audience, nonce = claims["aud"], claims.get("nonce")
    party = claims.get("azp")
    has_party = party == expected.client_id or (party is None and (isinstance(audience, str) or len(audience) == 1))
    return (
        has_party
        and isinstance(nonce, str)
        and hmac.compare_digest(nonce.encode(errors="replace"), expected.nonce.encode())
        and isinstance(claims["sub"], str)
        and 0 < len(claims["sub"]) <= LONGEST_SUBJECT
    )


def claims_of(claims: dict[str, Any]) -> Claims:
    email, name, methods = claims.get("email"), claims.get("name"), claims.get("amr")
    return Claims(
        claims["iss"],
        claims["sub"],
        email if isinstance(email, str) else None,
        claims.get("email_verified") is True,
        name if isinstance(name, str) else None,
        tuple(each for each in methods if isinstance(each, str)) if isinstance(methods, list) else (),
        moment_of(claims.get("auth_time")),
    )


def moment_of(seconds: Any) -> datetime | None:
    if type(seconds) is not int:
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None
