from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType

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
RoleName = Literal["viewer", "member", "admin", "owner"]


class TenantCreate(Struct, forbid_unknown_fields=True):
    name: Name
    slug: Slug


class TenantPatch(Struct, forbid_unknown_fields=True):
    name: Name | UnsetType = UNSET
    slug: Slug | UnsetType = UNSET


class Tenant(Struct):
    id: UUID
    name: str
    slug: str
    status: Literal["active", "suspended"]
    created_at: datetime
    updated_at: datetime


class Membership(Struct):
    tenant_id: UUID
    role: RoleName


class MyTenant(Struct):
    id: UUID
    name: str
    slug: str
    status: Literal["active", "suspended"]
    role: RoleName
    created_at: datetime
