from datetime import datetime
from typing import ClassVar
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from tenantry.clock import now
from tenantry.db.base import Base, TenantOwned
from tenantry.ids import new_id


class TenantRow(Base):
    """Global: it is what rows belong to. Row-level security shows the bound tenant, and people their own."""

    __tablename__ = "tenants"
    __table_args__ = (UniqueConstraint("slug"), CheckConstraint("status IN ('active', 'suspended')", name="status"))

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    name: Mapped[str]
    slug: Mapped[str]
    status: Mapped[str] = mapped_column(default="active")
    created_at: Mapped[datetime] = mapped_column(default=now)
    updated_at: Mapped[datetime] = mapped_column(default=now, onupdate=now)


class MembershipRow(TenantOwned):
    __tablename__ = "memberships"
    __table_args__ = (UniqueConstraint("tenant_id", "user_id"), Index(None, "user_id"))
    readable_across_tenants: ClassVar[bool] = True

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    role: Mapped[str] = mapped_column(ForeignKey("roles.name"))


class RoleRow(Base):
    """Global: the built-in roles are the same for all."""

    __tablename__ = "roles"

    name: Mapped[str] = mapped_column(primary_key=True)


class RolePermissionRow(Base):
    """Global: a mirror of what slices declare, rewritten by every migration run."""

    __tablename__ = "role_permissions"

    role: Mapped[str] = mapped_column(ForeignKey("roles.name"), primary_key=True)
    permission: Mapped[str] = mapped_column(primary_key=True)
