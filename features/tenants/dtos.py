from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType, field

from features.roles.api import RoleName
from tenantry.tenancy.settings import SettingsShape

SETTINGS = SettingsShape.of("features")
Name = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"\S", examples=["Acme Corporation"])]
Slug = Annotated[
    str,
    Meta(
        pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$(?!\n)",
        max_length=63,
        description="Lower-case letters, digits and single hyphens",
        examples=["acme"],
    ),
]


class TenantCreate(Struct, forbid_unknown_fields=True):
    name: Name
    slug: Slug


class TenantPatch(Struct, forbid_unknown_fields=True):
    name: Name | UnsetType = UNSET
    slug: Slug | UnsetType = UNSET
    settings: SETTINGS.patch = field(default_factory=SETTINGS.patch)  # type: ignore[name-defined]  # made at run time


class Tenant(Struct):
    id: UUID
    name: str
    slug: str
    status: Literal["active", "suspended", "deleting"]
    created_at: datetime
    updated_at: datetime
    plan: Literal["free", "team", "unlimited"]
    settings: SETTINGS.whole  # type: ignore[name-defined]  # made at run time
    erase_after: datetime | None
    """When a tenant that is `deleting` can no longer be restored."""

    def __post_init__(self) -> None:
        """The row holds what was set, its view all there is."""
        if isinstance(self.settings, dict):
            self.settings = SETTINGS.complete(self.settings)


class Membership(Struct):
    tenant_id: UUID
    subject_id: UUID
    """Of a person, or of a service account."""
    role: RoleName
    is_service_account: bool


class MyTenant(Struct):
    id: UUID
    name: str
    slug: str
    status: Literal["active", "suspended", "deleting"]
    role: RoleName
    created_at: datetime
    erase_after: datetime | None
    """When a tenant that is `deleting` can no longer be restored."""
