"""Secrets that the service itself has to read again are stored sealed: AES-256-GCM under keys of the environment.

    vault.seal(secret, purpose="sso client secret", owner=connection_id.bytes)

`purpose` and `owner` say what the secret is and whose. They are no part of what is stored, but it opens with the same
ones only: what is copied into another row or column is good for nothing there.
"""

import base64
import hashlib
import secrets
from collections.abc import Callable
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from tenantry.config import ConfigurationError, Settings, variable
from tenantry.ids import new_id

__all__ = ("CannotOpen", "Vault", "kept")

KEY_BYTES, NONCE_BYTES, ID_BYTES = 32, 12, 4
VERSION = b"\x01"
HEAD = len(VERSION) + ID_BYTES + NONCE_BYTES


class CannotOpen(Exception):
    """Not sealed here, for another purpose or owner, changed since, or under a key that is gone: a fault of ours."""


class Vault:
    """The first key seals; all of them open, so that a new one can take over."""

    def __init__(self, keys: list[bytes]) -> None:
        self._keys = {hashlib.sha256(b"tenantry vault" + key).digest()[:ID_BYTES]: key for key in keys}
        self._newest = next(iter(self._keys))

    @classmethod
    def from_settings(cls, settings: Settings) -> "Vault":
        file = settings.home_path / "keys" / "encryption.key"
        text = settings.key_encryption_key or kept(file, _new_key).decode()
        return cls([_parse(key) for key in text.split(",")])

    def seal(self, plain: bytes, *, purpose: str, owner: bytes = b"") -> bytes:
        head = VERSION + self._newest + secrets.token_bytes(NONCE_BYTES)
        return head + self._cipher(self._newest, purpose).encrypt(head[-NONCE_BYTES:], plain, head + owner)

    def open(self, sealed: bytes, *, purpose: str, owner: bytes = b"") -> bytes:
        """
        Raises:
            CannotOpen
        """
        head, key_id = sealed[:HEAD], sealed[len(VERSION) : len(VERSION) + ID_BYTES]
        if len(head) < HEAD or not head.startswith(VERSION) or key_id not in self._keys:
            raise CannotOpen
        try:
            return self._cipher(key_id, purpose).decrypt(head[-NONCE_BYTES:], sealed[HEAD:], head + owner)
        except InvalidTag as error:
            raise CannotOpen from error

    def derived_keys(self, purpose: str) -> list[bytes]:
        """Secrets of 32 bytes that all workers have, of no use for any other purpose: of the newest key first."""
        return [self._derived(key_id, f"tenantry derived: {purpose}") for key_id in self._keys]

    def is_current(self, sealed: bytes) -> bool:
        """Whether it is sealed with the newest key."""
        return sealed.startswith(VERSION + self._newest)

    def _cipher(self, key_id: bytes, purpose: str) -> AESGCM:
        return AESGCM(self._derived(key_id, f"tenantry vault: {purpose}"))

    def _derived(self, key_id: bytes, label: str) -> bytes:
        return HKDF(hashes.SHA256(), KEY_BYTES, salt=None, info=label.encode()).derive(self._keys[key_id])


def _parse(text: str) -> bytes:
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise ConfigurationError(f"{variable('key_encryption_key')}: each key must be 32 bytes in Base64")
    return key


def kept(path: Path, make: Callable[[], bytes]) -> bytes:
    """What the file holds, for development; made at the first time, for which workers race."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not path.exists():
        draft = path.with_name(f"{path.name}.{new_id()}")
        draft.touch(mode=0o600)
        draft.write_bytes(make())
        try:
            path.hardlink_to(draft)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_bytes()


def _new_key() -> bytes:
    return base64.b64encode(secrets.token_bytes(KEY_BYTES))
