"""The keys that sign tokens. Each is good for one algorithm, which it says itself: a token's header cannot choose.

A new key is published before it signs, and an old one verifies until the longest token that it signed has expired.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import get_default_algorithms

from tenantry.clock import now
from tenantry.errors import Unauthenticated, Unavailable

__all__ = (
    "LONGEST_TOKEN",
    "Algorithm",
    "InvalidToken",
    "KeyRing",
    "PrivateKey",
    "SigningKey",
    "UnknownKey",
    "generate",
    "key_from_pem",
)

Algorithm = Literal["EdDSA", "RS256", "ES256"]
PrivateKey = ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
PublicKey = ed25519.Ed25519PublicKey | rsa.RSAPublicKey | ec.EllipticCurvePublicKey
LONGEST_TOKEN = timedelta(hours=1, minutes=1)
"""The longest life that a setting allows, and the skew of clocks."""
RSA_BITS = 3072  # as strong as the other two
ALWAYS = datetime.min.replace(tzinfo=UTC)


class InvalidToken(Unauthenticated):
    code = "invalid_token"
    title = "The access token is not valid"


class UnknownKey(InvalidToken):
    """It may be one that another worker knows already."""


class NoSigningKey(Unavailable):
    code = "no_signing_key"
    title = "No key is there to sign a token with"


@dataclass(frozen=True)
class SigningKey:
    id: str
    algorithm: Algorithm
    public: PublicKey
    private: PrivateKey | None
    """None where it only verifies any more, or cannot be read."""
    signs_from: datetime = ALWAYS
    verifies_until: datetime | None = None

    @classmethod
    def of(cls, private: PrivateKey, signs_from: datetime = ALWAYS) -> "SigningKey":
        """
        Raises:
            ValueError: of another kind, or too weak.
        """
        public = private.public_key()
        return cls(key_id(public), algorithm_of(private), public, private, signs_from)

    @property
    def jwk(self) -> dict[str, Any]:
        """RFC 7517: the public part."""
        algorithm: Any = get_default_algorithms()[self.algorithm]
        made: dict[str, Any] = algorithm.to_jwk(self.public, as_dict=True)
        made.pop("key_ops", None)
        return made | {"kid": self.id, "use": "sig", "alg": self.algorithm}


class KeyRing:
    """All keys that count now: the one of the settings, and those of the database, which take over from it."""

    def __init__(self, own: SigningKey) -> None:
        self.own = own
        self._keys = {own.id: own}
        self.on_loss: list[Callable[[], None]] = []
        """Called when a key is gone: what was remembered of its tokens must go as well."""

    @classmethod
    def of(cls, private: PrivateKey) -> "KeyRing":
        return cls(SigningKey.of(private))

    def hold(self, stored: Sequence[SigningKey]) -> None:
        """In place of those of the database that it held."""
        own = self.own
        if stored:
            own = replace(own, verifies_until=min(key.signs_from for key in stored) + LONGEST_TOKEN)
        before, self._keys = self._keys, {key.id: key for key in (own, *stored)}
        if not before.keys() <= self._keys.keys():
            for forget in self.on_loss:
                forget()

    @property
    def signing(self) -> SigningKey:
        """The newest that may sign.

        Raises:
            NoSigningKey
        """
        moment = now()
        able = [key for key in self.verifying() if key.private is not None and key.signs_from <= moment]
        if not able:
            raise NoSigningKey
        return max(able, key=lambda key: key.signs_from)

    def find(self, id: str) -> SigningKey:
        """
        Raises:
            UnknownKey
        """
        key = self._keys.get(id)
        if key is None or (key.verifies_until is not None and key.verifies_until <= now()):
            raise UnknownKey
        return key

    def verifying(self) -> Iterable[SigningKey]:
        """Those that are published: also such as will sign soon."""
        moment = now()
        return [key for key in self._keys.values() if key.verifies_until is None or key.verifies_until > moment]


def generate(algorithm: Algorithm) -> PrivateKey:
    if algorithm == "EdDSA":
        return ed25519.Ed25519PrivateKey.generate()
    if algorithm == "ES256":
        return ec.generate_private_key(ec.SECP256R1())
    return rsa.generate_private_key(public_exponent=65537, key_size=RSA_BITS)


def algorithm_of(private: object) -> Algorithm:
    match private:
        case ed25519.Ed25519PrivateKey():
            return "EdDSA"
        case ec.EllipticCurvePrivateKey() if isinstance(private.curve, ec.SECP256R1):
            return "ES256"
        case rsa.RSAPrivateKey() if private.key_size >= RSA_BITS:
            return "RS256"
    raise ValueError(f"must be an Ed25519 or P-256 key, or RSA of at least {RSA_BITS} bits")


def key_id(public: PublicKey) -> str:
    return hashlib.sha256(public_bytes(public)).hexdigest()[:16]


def public_bytes(public: PublicKey) -> bytes:
    return public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def private_bytes(private: PrivateKey, encoding: serialization.Encoding = serialization.Encoding.DER) -> bytes:
    return private.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def key_from_pem(pem: bytes) -> SigningKey:
    """
    Raises:
        ValueError: it is none, or one that is not good enough; the message says why.
    """
    try:
        private = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError) as error:
        raise ValueError("not an unencrypted private key in PEM") from error
    algorithm_of(private)
    assert isinstance(private, PrivateKey)
    return SigningKey.of(private)
