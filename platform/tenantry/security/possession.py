"""Tokens that are good only together with a proof that whoever sends them holds a key: DPoP, RFC 9449 (ADR 28)."""

import base64
import hashlib
import hmac
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote, urlsplit

import jwt
import msgspec
from jwt.types import Options
from litestar.di import NamedDependency
from litestar.types import Scope

from tenantry.clock import now
from tenantry.errors import Unauthenticated
from tenantry.security.browser import origin_of
from tenantry.security.tokens import FAULTS

__all__ = ("CurrentHolder", "Holder", "InvalidProof", "Possession", "presented")

HEADER = b"dpop"
TYPE = "dpop+jwt"
ALGORITHMS = {"ES256": "EC", "EdDSA": "OKP", "PS256": "RSA", "RS256": "RSA"}
MEMBERS = {"EC": ("crv", "kty", "x", "y"), "OKP": ("crv", "kty", "x"), "RSA": ("e", "kty", "n")}
"""Of a key, those that RFC 7638 makes its thumbprint of, in their order."""
LIFE, CLOCK_SKEW = timedelta(seconds=60), timedelta(seconds=10)
LONGEST_PROOF, LONGEST_ID = 4096, 128
CHECKS: Options = {
    "require": ["iat", "jti"],
    "enforce_minimum_key_length": True,
    # By a clock that tests can move.
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
    "verify_aud": False,
}


class InvalidProof(Unauthenticated):
    code = "invalid_dpop_proof"
    title = "The DPoP proof is missing or not valid"

    def __init__(self, detail: str | None = None) -> None:
        super().__init__(detail)
        self.headers = {"WWW-Authenticate": f'DPoP error="{self.code}", algs="{" ".join(ALGORITHMS)}"'}


IsFirst = Callable[[str, timedelta], Awaitable[bool]]
"""Whether nobody has asked for the same within that time."""


class Possession:
    """What proofs have to say, and that each is good once."""

    def __init__(self, origins: frozenset[str], base_path: str, is_first: IsFirst) -> None:
        self._origins, self._base_path = origins, base_path
        """Of this service, as its clients know it: a proxy may take the path away."""
        self._is_first = is_first

    async def demand(self, scope: Scope, thumbprint: str) -> None:
        """With the token comes a proof of the key that it was issued to.

        Raises:
            InvalidProof
        """
        credential = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        if not (token := presented(credential)):
            raise InvalidProof("Send the token as `Authorization: DPoP`.")
        told = base64url(hashlib.sha256(token).digest())
        if not hmac.compare_digest(await self.thumbprint(scope, token_hash=told) or "", thumbprint):
            raise InvalidProof

    async def thumbprint(self, scope: Scope, *, token_hash: str | None = None) -> str | None:
        """Of the key that the request proves to hold; None where it has no proof.

        Raises:
            InvalidProof: it has one that is not good, or was used before.
        """
        proofs = [value for name, value in scope["headers"] if name == HEADER]
        if not proofs:
            return None
        if len(proofs) > 1 or len(proofs[0]) > LONGEST_PROOF:
            raise InvalidProof
        try:
            key, claims = _read(proofs[0])
            thumbprint = _thumbprint(key)
            self._check(claims, scope, token_hash)
            jti = hashlib.sha256(claims["jti"].encode()).hexdigest()
        except FAULTS as error:
            raise InvalidProof from error
        if not await self._is_first(f"dpop:{thumbprint}:{jti}", LIFE + 2 * CLOCK_SKEW):
            raise InvalidProof("It was used before.")
        return thumbprint

    def _check(self, claims: dict[str, Any], scope: Scope, token_hash: str | None) -> None:
        if claims["htm"] != scope.get("method"):
            raise InvalidProof("`htm` is another method.")
        address = urlsplit(claims["htu"])
        paths = (scope["path"], self._base_path + scope["path"])
        if origin_of(claims["htu"]) not in self._origins or unquote(address.path) not in paths:
            raise InvalidProof("`htu` is another address.")
        if type(claims["iat"]) is not int or not 0 < len(claims["jti"]) <= LONGEST_ID:
            raise InvalidProof
        made = datetime.fromtimestamp(claims["iat"], UTC)
        if not made - CLOCK_SKEW <= now() <= made + LIFE + CLOCK_SKEW:
            raise InvalidProof("It is too old, or of the future.")
        if token_hash is not None and not hmac.compare_digest(claims["ath"], token_hash):
            raise InvalidProof("`ath` is of another token.")


class Holder:
    """Who asks for tokens in one request, as far as it is a key."""

    def __init__(self, possession: Possession, scope: Scope) -> None:
        self._possession, self._scope = possession, scope
        self._known: str | None = None

    async def thumbprint(self) -> str | None:
        """
        Raises:
            InvalidProof
        """
        if self._known is None:
            self._known = await self._possession.thumbprint(self._scope)
        return self._known


CurrentHolder = NamedDependency[Holder]


def presented(authorization: bytes) -> bytes:
    """The token; empty where it comes by another scheme, such as the one that asks for no proof."""
    return authorization[5:].strip() if authorization[:5].lower() == b"dpop " else b""


def _read(proof: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    """Its public key, and what that has signed."""
    header = jwt.get_unverified_header(proof)
    algorithm, key = header["alg"], header["jwk"]
    if header.get("typ") != TYPE or ALGORITHMS.get(algorithm) != key["kty"] or "crit" in header:
        raise InvalidProof
    public = {name: key[name] for name in MEMBERS[key["kty"]]}
    if key.keys() & {"d", "p", "q", "k", "oth"}:
        raise InvalidProof("`jwk` is a private key.")
    signed = jwt.decode(proof, jwt.PyJWK.from_dict(public, algorithm=algorithm), [algorithm], options=CHECKS)
    return public, signed


def _thumbprint(key: dict[str, Any]) -> str:
    """RFC 7638."""
    return base64url(hashlib.sha256(msgspec.json.encode(key)).digest())


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
