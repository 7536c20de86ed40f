from typing import Any

from msgspec import Struct


class KeySet(Struct):
    """RFC 7517."""

    keys: list[dict[str, Any]]
