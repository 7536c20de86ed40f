"""Permissions are declared in code by the slices and mirrored into `role_permissions` by every migration run."""

from collections.abc import Iterable
from enum import IntEnum
from types import ModuleType

import msgspec
from sqlalchemy import Connection, text

__all__ = ("Permission", "Role", "declared_permissions", "mirror_permissions")


class Role(IntEnum):
    """The built-in roles; each may do all that a lesser one may."""

    viewer = 1
    member = 2
    admin = 3
    owner = 4


class Permission(msgspec.Struct, frozen=True):
    name: str
    description: str
    least_role: Role

    def roles(self) -> list[Role]:
        return [role for role in Role if role >= self.least_role]


def declared_permissions(modules: Iterable[ModuleType]) -> list[Permission]:
    """The permissions of the slices' `permissions.py`, by name.

    Raises:
        ValueError: when two slices declare the same name.
    """
    found: dict[str, Permission] = {}
    for module in modules:
        for value in vars(module).values():
            if isinstance(value, Permission) and found.setdefault(value.name, value) is not value:
                raise ValueError(f"permission {value.name!r} is declared twice")
    return [found[name] for name in sorted(found)]


def mirror_permissions(connection: Connection, permissions: Iterable[Permission]) -> None:
    """Make the rows of the built-in roles equal to the declarations."""
    rows = [{"role": role.name, "permission": p.name} for p in permissions for role in p.roles()]
    connection.execute(
        text(
            "DELETE FROM role_permissions"
            " WHERE role = ANY(:built_in) AND NOT (role || ' ' || permission) = ANY(:declared)"
        ),
        {"built_in": [role.name for role in Role], "declared": [f"{r['role']} {r['permission']}" for r in rows]},
    )
    if rows:
        connection.execute(
            text("INSERT INTO role_permissions (role, permission) VALUES (:role, :permission) ON CONFLICT DO NOTHING"),
            rows,
        )
