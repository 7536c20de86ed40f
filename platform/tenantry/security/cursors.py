"""Cursors that only this service can make: where a page ends, sealed for one caller's one way to ask one list."""

import base64
import hmac
from typing import Any, Protocol

import msgspec

from tenantry.errors import BadRequest

__all__ = ("CursorSeal", "InvalidCursor", "KeySource")

PURPOSE = b"tenantry list cursors"
MAC_BYTES = 16


class InvalidCursor(BadRequest):
    code = "invalid_cursor"
    title = "The cursor is not one that this list gave for these parameters"


class KeySource(Protocol):
    def derived_key(self, purpose: bytes) -> bytes: ...


class CursorSeal:
    """`about` is all that a cursor is good for; it is authenticated, and not a part of the cursor."""

    def __init__(self, keys: KeySource) -> None:
        self._key = keys.derived_key(PURPOSE)

    def close(self, position: bytes, about: Any) -> str:
        return base64.urlsafe_b64encode(position + self._mac(position, about)).decode().rstrip("=")

    def open(self, cursor: str, about: Any) -> bytes:
        """
        Raises:
            InvalidCursor: not made here, changed since, or made for something else.
        """
        try:
            raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        except ValueError as error:
            raise InvalidCursor from error
        position = raw[:-MAC_BYTES]
        if not hmac.compare_digest(self.close(position, about).encode(), cursor.encode()):
            raise InvalidCursor
        return position

    def _mac(self, position: bytes, about: Any) -> bytes:
        return hmac.digest(self._key, msgspec.msgpack.encode((about, position)), "sha256")[:MAC_BYTES]
