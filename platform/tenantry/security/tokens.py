"""Access tokens: JWTs signed with Ed25519, checked without I/O.

A token proves who issued it, never that the session, membership or permission still holds: that is asked of
the database in the transaction of the effect.
"""

import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import jwt
import msgspec
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from jwt.types import Options

from tenantry.clock import now
from tenantry.config import ConfigurationError, Settings, variable
from tenantry.errors import Unauthenticated
from tenantry.ids import new_id
from tenantry.security.api_keys import KEY_PREFIX, principal_of_key
from tenantry.security.principal import KeyClaim, Principal

__all__ = ("InvalidToken", "TokenService")

ALGORITHM = "EdDSA"
AUDIENCE = "tenantry"
TYPE = "at+jwt"
CLOCK_SKEW_SECONDS = 10  # between the hosts of this service
REQUIRED_CLAIMS = ["exp", "iat", "nbf", "sub", "aud", "iss", "jti"]
CHECKS: Options = {
    "require": REQUIRED_CLAIMS,
    "enforce_minimum_key_length": True,
    # PyJWT would check times once, and by a clock that tests cannot move; `verify` does at every use.
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
}
REMEMBERED = 10_000


class InvalidToken(Unauthenticated):
    code = "invalid_token"
    title = "The access token is not valid"


class _Verified(msgspec.Struct, frozen=True):
    """What a good signature vouches for, and from when until when."""

    principal: Principal
    starts: datetime
    ends: datetime


class TokenService:
    """Remembers the last `remembered` tokens that it verified: the signature is most of what a request computes.

    The times of a remembered token are checked at each use. It is known by its SHA-256, so that reading the memory
    of the process gives nobody a credential.
    """

    def __init__(
        self, private_key: Ed25519PrivateKey, *, issuer: str, lifetime: timedelta, remembered: int = REMEMBERED
    ) -> None:
        self._verified: dict[bytes, _Verified] = {}
        """By their hashes, the one last used at the end."""
        self._remembered = remembered
        self._private_key = private_key
        self.public_key = private_key.public_key()
        self._issuer = issuer
        self.lifetime = lifetime
        self._key_id = hashlib.sha256(self.public_key.public_bytes_raw()).hexdigest()[:16]

    @classmethod
    def from_settings(cls, settings: Settings) -> "TokenService":
        if settings.token_private_key:
            key = _parse(settings.token_private_key.encode())
        else:
            key = _parse(_development_key(settings.home_path / "keys" / "token.pem"))
        return cls(key, issuer=settings.base_url, lifetime=timedelta(seconds=settings.access_token_seconds))

    def issue(self, principal: Principal) -> str:
        issued = now()
        claims = {
            "iss": self._issuer,
            "aud": AUDIENCE,
            "sub": str(principal.subject_id),
            **({"sid": str(principal.session)} if principal.key is None else {"key": str(principal.key.id)}),
            "tid": str(principal.tenant_id) if principal.tenant_id else None,
            **({"auth_time": int(proven.timestamp())} if (proven := principal.authenticated_at) else {}),
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
        return HKDF(hashes.SHA256(), 32, salt=None, info=purpose).derive(self._private_key.private_bytes_raw())

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
        return jwt.encode(claims, self._private_key, ALGORITHM, headers={"kid": self._key_id, "typ": type_})

    def _decode(self, credential: bytes) -> _Verified:
        try:
            token = jwt.decode_complete(
                credential,
                self.public_key,
                algorithms=[ALGORITHM],
                audience=AUDIENCE,
                issuer=self._issuer,
                options=CHECKS,
            )
            if token["header"].get("typ") != TYPE or not token["header"].keys() <= {"alg", "typ", "kid"}:
                raise InvalidToken
            claims = token["payload"]
            tenant = claims.get("tid")
            session, key = _session_or_key(claims)
            proven = datetime.fromtimestamp(int(claims["auth_time"]), UTC) if "auth_time" in claims else None
            principal = Principal(UUID(claims["sub"]), session, UUID(tenant) if tenant else None, key, proven)
            issued, starts, ends = (datetime.fromtimestamp(int(claims[name]), UTC) for name in ("iat", "nbf", "exp"))
            skew = timedelta(seconds=CLOCK_SKEW_SECONDS)
            return _Verified(principal, max(issued, starts) - skew, ends + skew)
        except (jwt.PyJWTError, ValueError, TypeError, AttributeError, OverflowError) as error:
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


def _parse(pem: bytes) -> Ed25519PrivateKey:
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError) as error:
        raise ConfigurationError(f"{variable('token_private_key')}: not an unencrypted private key in PEM") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigurationError(f"{variable('token_private_key')}: must be an Ed25519 key")
    return key


def _development_key(path: Path) -> bytes:
    """A key that outlives restarts, so that development is not signed out by them; workers race to make it."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not path.exists():
        pem = Ed25519PrivateKey.generate().private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        draft = path.with_name(f"{path.name}.{new_id()}")
        draft.touch(mode=0o600)
        draft.write_bytes(pem)
        try:
            path.hardlink_to(draft)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_bytes()
