"""Access tokens: JWTs, checked without I/O.

A token proves who issued it, never that the session, membership or permission still holds: that is asked of
the database in the transaction of the effect.
"""

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

import jwt
import msgspec
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from jwt.types import Options

from tenantry.clock import now
from tenantry.config import ConfigurationError, Settings, variable
from tenantry.ids import new_id
from tenantry.security.api_keys import KEY_PREFIX, principal_of_key
from tenantry.security.keys import InvalidToken, KeyRing, SigningKey, generate, key_from_pem, private_bytes
from tenantry.security.principal import KeyClaim, Principal
from tenantry.security.vault import kept

__all__ = ("FAULTS", "InvalidToken", "TokenService")

AUDIENCE = "tenantry"
TYPE = "at+jwt"
CLOCK_SKEW_SECONDS = 10  # between the hosts of this service
REQUIRED_CLAIMS = ["exp", "iat", "nbf", "sub", "aud", "iss", "jti"]
CHECKS: Options = {
    "require": REQUIRED_CLAIMS,
    "enforce_minimum_key_length": True,
    "strict_aud": True,
    # PyJWT would check times once, and by a clock that tests cannot move; `verify` does at every use.
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
}
REMEMBERED = 10_000
FAULTS = (jwt.PyJWTError, ValueError, TypeError, KeyError, AttributeError, OverflowError, OSError, RecursionError)
"""What reading a JWT of any shape can end in."""


class _Verified(msgspec.Struct, frozen=True):
    """What a good signature vouches for, and from when until when."""

    principal: Principal
    starts: datetime
    ends: datetime


class Watch(Protocol):
    async def learn(self) -> None: ...


class TokenService:
    """Remembers the last `remembered` tokens that it verified: the signature is most of what a request computes.

    The times of a remembered token are checked at each use. It is known by its SHA-256, so that reading the memory
    of the process gives nobody a credential.
    """

    watch: Watch | None = None
    """What knows of keys that are new; none in a command."""

    def __init__(self, keys: KeyRing, *, issuer: str, lifetime: timedelta, remembered: int = REMEMBERED) -> None:
        self._verified: dict[bytes, _Verified] = {}
        """By their hashes, the one last used at the end."""
        self._remembered = remembered
        self.keys = keys
        keys.on_loss.append(self._verified.clear)
        self._issuer = issuer
        self.lifetime = lifetime

    @classmethod
    def from_settings(cls, settings: Settings) -> "TokenService":
        keys = KeyRing(_own_key(settings))
        return cls(keys, issuer=settings.base_url, lifetime=timedelta(seconds=settings.access_token_seconds))

    def issue(self, principal: Principal) -> str:
        issued = now()
        claims = {
            "iss": self._issuer,
            "aud": AUDIENCE,
            "sub": str(principal.subject_id),
            **({"sid": str(principal.session)} if principal.key is None else {"key": str(principal.key.id)}),
            "tid": str(principal.tenant_id) if principal.tenant_id else None,
            **({"auth_time": int(proven.timestamp())} if (proven := principal.authenticated_at) else {}),
            **({"cnf": {"jkt": principal.holder}} if principal.holder is not None else {}),
            "jti": str(new_id()),
            "iat": issued,
            "nbf": issued,
            "exp": issued + self.lifetime,
        }
        return self._signed(claims, TYPE)

    def attest(self, claims: dict[str, Any], type_: str) -> str:
        """A statement of this service, as a JWT that is no access token: `type_` is another than theirs."""
        assert type_ != TYPE
        return self._signed({"iss": self._issuer, "iat": now(), **claims}, type_)

    def derived_key(self, purpose: bytes) -> bytes:
        """A secret of 32 bytes that all workers have, of no use for any other purpose."""
        assert self.keys.own.private is not None
        return HKDF(hashes.SHA256(), 32, salt=None, info=purpose).derive(private_bytes(self.keys.own.private))

    async def learn(self) -> None:
        """Ask for keys that are new, after `UnknownKey`."""
        if self.watch is not None:
            await self.watch.learn()

    def verify(self, credential: bytes) -> Principal:
        if credential.startswith(KEY_PREFIX):
            return principal_of_key(credential)
        digest = hashlib.sha256(credential).digest()
        known = self._verified.pop(digest, None)
        token = known or self._decode(credential)
        moment = now()
        if not token.starts <= moment < token.ends:
            raise InvalidToken("It has expired." if moment >= token.ends else None)
        if len(self._verified) >= self._remembered:
            del self._verified[next(iter(self._verified))]
        self._verified[digest] = token
        return token.principal

    def _signed(self, claims: dict[str, Any], type_: str) -> str:
        key = self.keys.signing
        assert key.private is not None
        return jwt.encode(claims, key.private, key.algorithm, headers={"kid": key.id, "typ": type_})

    def _decode(self, credential: bytes) -> _Verified:
        try:
            signer = self.keys.find(jwt.get_unverified_header(credential).get("kid", ""))
            token = jwt.decode_complete(
                credential,
                signer.public,
                algorithms=[signer.algorithm],
                audience=AUDIENCE,
                issuer=self._issuer,
                options=CHECKS,
            )
            if token["header"].get("typ") != TYPE or not token["header"].keys() <= {"alg", "typ", "kid"}:
                raise InvalidToken
            claims = token["payload"]
            tenant = claims.get("tid")
            session, key = _session_or_key(claims)
            proven = _moment(claims["auth_time"]) if "auth_time" in claims else None
            principal = Principal(
                UUID(claims["sub"]), session, UUID(tenant) if tenant is not None else None, key, proven, _holder(claims)
            )
            issued, starts, ends = (_moment(claims[name]) for name in ("iat", "nbf", "exp"))
            if proven is not None and proven > issued:
                raise InvalidToken
            skew = timedelta(seconds=CLOCK_SKEW_SECONDS)
            return _Verified(principal, max(issued, starts) - skew, ends + skew)
        except FAULTS as error:
            raise InvalidToken from error


def _session_or_key(claims: dict[str, Any]) -> tuple[UUID | None, KeyClaim | None]:
    """What keeps the token alive: one of the two."""
    if "key" in claims:
        if "sid" in claims or not claims.get("tid"):
            raise InvalidToken
        return None, KeyClaim(UUID(claims["key"]), secret_hash=None)
    if "sid" not in claims:
        raise InvalidToken
    return UUID(claims["sid"]), None


def _holder(claims: dict[str, Any]) -> str | None:
    """RFC 9449 section 6.1."""
    if "cnf" not in claims:
        return None
    thumbprint = claims["cnf"]["jkt"]
    if not isinstance(thumbprint, str) or not thumbprint:
        raise InvalidToken
    return thumbprint


def _own_key(settings: Settings) -> SigningKey:
    """A key that development makes outlives restarts, so that nobody is signed out by them."""
    given = settings.token_private_key
    pem = given.encode() if given else kept(settings.home_path / "keys" / "token.pem", _new_pem)
    try:
        return key_from_pem(pem)
    except ValueError as error:
        raise ConfigurationError(f"{variable('token_private_key')}: {error}") from error


def _new_pem() -> bytes:
    return private_bytes(generate("EdDSA"), serialization.Encoding.PEM)


def _moment(seconds: Any) -> datetime:
    if type(seconds) is not int:
        raise InvalidToken
    return datetime.fromtimestamp(seconds, UTC)
