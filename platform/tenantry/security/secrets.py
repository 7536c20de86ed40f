"""Random secrets, and what is stored of them."""

import hashlib
import secrets

__all__ = ("digest", "new_secret")


def new_secret() -> str:
    """256 random bits."""
    return secrets.token_urlsafe(32)


def digest(secret: str) -> bytes:
    """What is stored of a random secret; it needs no slow hash."""
    return hashlib.sha256(secret.encode()).digest()
