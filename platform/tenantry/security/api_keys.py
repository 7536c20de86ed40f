"""API keys: what one looks like, and whom it claims to speak for.

`tny_`, and in base64url 75 bytes: tenant, subject and id of the key (16 each), 23 of secret, and the CRC-32 of all
before it, `tny_` included, by which a scanner tells a key from what only looks like one.
"""

import base64
import hashlib
import secrets
from typing import NamedTuple
from uuid import UUID
from zlib import crc32

from tenantry.errors import Unauthenticated
from tenantry.security.principal import KeyClaim, Principal

__all__ = ("KEY_PREFIX", "InvalidApiKey", "NewKey", "new_key", "principal_of_key")

KEY_PREFIX = b"tny_"
BYTES, SECRET_BYTES, CHECKSUM_BYTES = 75, 23, 4
LENGTH = len(KEY_PREFIX) + BYTES * 4 // 3


class InvalidApiKey(Unauthenticated):
    code = "invalid_api_key"
    title = "The API key is not valid"


class NewKey(NamedTuple):
    text: str
    """Shown once."""
    secret_hash: bytes
    """Stored. The key is random, so it needs no slow hash."""
    hint: str
    """The end of the text, by which its owner knows it again."""


def new_key(tenant_id: UUID, subject_id: UUID, key_id: UUID) -> NewKey:
    told = tenant_id.bytes + subject_id.bytes + key_id.bytes + secrets.token_bytes(SECRET_BYTES)
    text = KEY_PREFIX + base64.urlsafe_b64encode(told + _checksum(told))
    return NewKey(text.decode(), hashlib.sha256(text).digest(), text[-6:].decode())


def principal_of_key(credential: bytes) -> Principal:
    """
    Raises:
        InvalidApiKey: it was never one of ours.
    """
    if len(credential) != LENGTH or not credential.startswith(KEY_PREFIX):
        raise InvalidApiKey
    try:
        told = base64.b64decode(credential[len(KEY_PREFIX) :], altchars=b"-_", validate=True)
    except ValueError as error:
        raise InvalidApiKey from error
    if _checksum(told[:-CHECKSUM_BYTES]) != told[-CHECKSUM_BYTES:]:
        raise InvalidApiKey
    tenant, subject, key = (UUID(bytes=told[start : start + 16]) for start in (0, 16, 32))
    return Principal(subject, None, tenant, KeyClaim(key, hashlib.sha256(credential).digest()))


def _checksum(told: bytes) -> bytes:
    return crc32(KEY_PREFIX + told).to_bytes(CHECKSUM_BYTES, "big")
