"""Cursors that only this service can make: where a page ends, sealed for one caller's one way to ask one list."""

import base64
import hmac
from typing import Any, Protocol

import msgspec

from tenantry.errors import BadRequest

__all__ = ("CursorSeal", "InvalidCursor", "KeySource")

PURPOSE = "list cursors"
MAC_BYTES = 16


class InvalidCursor(BadRequest):
    code = "invalid_cursor"
    title = "The cursor is not one that this list gave for these parameters"


class KeySource(Protocol):
    def derived_keys(self, purpose: str) -> list[bytes]: ...


class CursorSeal:
    """`about` is all that a cursor is good for; it is authenticated, and not a part of the cursor.

    The newest key closes, all of them open: a list goes on while keys change.
    """

    def __init__(self, keys: KeySource) -> None:
        self._keys = keys.derived_keys(PURPOSE)

    def close(self, position: bytes, about: Any) -> str:
        return self._closed(self._keys[0], position, about)

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
        good = [self._closed(key, position, about).encode() for key in self._keys]
        if not any(hmac.compare_digest(each, cursor.encode()) for each in good):
            raise InvalidCursor
        return position

    def _closed(self, key: bytes, position: bytes, about: Any) -> str:
        mac = hmac.digest(key, msgspec.msgpack.encode((about, position)), "sha256")[:MAC_BYTES]
        return base64.urlsafe_b64encode(position + mac).decode().rstrip("=")
