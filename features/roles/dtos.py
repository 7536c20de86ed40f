from typing import Annotated
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType

NAME = Meta(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$(?!\n)", max_length=63)
RoleName = Annotated[
    str,
    NAME,
    Meta(description="A built-in role (viewer, member, admin, owner), or one of the tenant's own", examples=["member"]),
]
OwnName = Annotated[str, NAME, Meta(description="Lower-case letters, digits and single hyphens", examples=["auditor"])]
Description = Annotated[str, Meta(max_length=1000)]
PermissionName = Annotated[str, Meta(max_length=100, examples=["roles:read"])]
Permissions = Annotated[list[PermissionName], Meta(max_length=500, description="Names from `GET /permissions`")]


class RoleCreate(Struct, forbid_unknown_fields=True):
    name: OwnName
    permissions: Permissions
    description: Description = ""


class RolePatch(Struct, forbid_unknown_fields=True):
    name: OwnName | UnsetType = UNSET
    permissions: Permissions | UnsetType = UNSET
    description: Description | UnsetType = UNSET


class Role(Struct):
    id: UUID | None
    """Null for a built-in one, which cannot be changed."""
    name: str
    description: str
    permissions: list[str]
    built_in: bool
