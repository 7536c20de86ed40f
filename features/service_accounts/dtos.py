from datetime import datetime
from typing import Annotated
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType

from features.tenants.api import RoleName

Name = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"\S", examples=["Nightly export"])]


class ServiceAccountCreate(Struct, forbid_unknown_fields=True):
    name: Name
    role: RoleName


class ServiceAccountPatch(Struct, forbid_unknown_fields=True):
    name: Name | UnsetType = UNSET
    role: RoleName | UnsetType = UNSET


class Account(Struct):
    """What this slice stores; the role is its membership's."""

    id: UUID
    name: str
    created_at: datetime
    updated_at: datetime


class ServiceAccount(Account):
    role: RoleName
