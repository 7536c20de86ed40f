from datetime import datetime
from uuid import UUID

from msgspec import Struct


class Identity(Struct):
    """By which somebody can log in: what an issuer calls them."""

    id: UUID
    issuer: str
    subject: str
    created_at: datetime
    last_used_at: datetime | None
