from sqlalchemy import CheckConstraint, ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from tenantry.db.base import Base, TenantOwned
from tenantry.security.permissions import Role

MOST_ROLES = 100
"""Of its own that a tenant can have: the list of them has no pages."""
BUILT_IN = {
    Role.viewer: "Sees what there is",
    Role.member: "Works with it",
    Role.admin: "Manages the tenant and who belongs to it",
    Role.owner: "May do everything",
}


class RoleRow(Base):
    """Global: the built-in roles are the same for all."""

    __tablename__ = "roles"

    name: Mapped[str] = mapped_column(primary_key=True)


class RolePermissionRow(Base):
    """Global: a mirror of what slices declare, rewritten by every migration run."""

    __tablename__ = "role_permissions"

    role: Mapped[str] = mapped_column(ForeignKey("roles.name"), primary_key=True)
    permission: Mapped[str] = mapped_column(primary_key=True)


class CustomRoleRow(TenantOwned):
    """It may name permissions that no slice declares any more: no route asks for them, and no answer shows them."""

    __tablename__ = "custom_roles"
    __table_args__ = (
        UniqueConstraint("tenant_id", "name"),
        CheckConstraint("name NOT IN ('viewer', 'member', 'admin', 'owner')", name="name"),
    )

    name: Mapped[str]
    description: Mapped[str] = mapped_column(default="")
    permissions: Mapped[list[str]]
