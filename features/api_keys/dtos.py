from datetime import datetime
from typing import Annotated
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType

Name = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"\S", examples=["Deployment"])]
Scopes = Annotated[
    list[Annotated[str, Meta(max_length=100)]],
    Meta(
        min_length=1,
        max_length=100,
        description="Permissions, of which you hold each",
        examples=[["api-keys:read"]],
    ),
]
Expiry = Annotated[datetime, Meta(tz=True, description="In the future, within five years")]


class ApiKeyCreate(Struct, forbid_unknown_fields=True):
    name: Name
    scopes: Scopes
    expires_at: Expiry | None = None
    service_account_id: UUID | None = None
    """Whom the key is for, if not yourself."""


class ApiKeyPatch(Struct, forbid_unknown_fields=True):
    name: Name | UnsetType = UNSET
    scopes: Scopes | UnsetType = UNSET


class ApiKeyRotation(Struct, forbid_unknown_fields=True):
    overlap_seconds: Annotated[int, Meta(ge=0, le=86_400, description="How long the old key still works")] = 3600


class ApiKey(Struct):
    id: UUID
    subject_id: UUID
    """The person or service account that it speaks for."""
    name: str
    hint: str
    """The last characters of the key."""
    scopes: list[str]
    expires_at: datetime | None
    previous_until: datetime | None
    """Until when the key before the last rotation works as well."""
    last_used_at: datetime | None
    """To the minute."""
    revoked_at: datetime | None
    created_by: UUID
    created_at: datetime


class NewApiKey(ApiKey):
    key: str
    """Shown this once; only its hash is stored."""
