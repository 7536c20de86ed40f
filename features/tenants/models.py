from datetime import datetime, timedelta
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import CheckConstraint, Computed, FetchedValue, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from features.tenants.dtos import SETTINGS, TenantPatch
from features.tenants.errors import OwnerIsAPerson, StatusHinders, TenantNotRestorable
from tenantry.clock import now
from tenantry.db.base import Base, TenantOwned, Versioned, tenant_foreign_key
from tenantry.ids import new_id
from tenantry.plans import Quota
from tenantry.security.permissions import Role


class TenantRow(Versioned, Base):
    """Global: it is what rows belong to. Row-level security shows the bound tenant, and people their own."""

    __tablename__ = "tenants"
    __table_args__ = (
        UniqueConstraint("slug"),
        CheckConstraint("status IN ('active', 'suspended', 'deleting')", name="status"),
        CheckConstraint("plan IN ('free', 'team', 'unlimited')", name="plan"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    name: Mapped[str]
    slug: Mapped[str]
    status: Mapped[str] = mapped_column(default="active")
    created_at: Mapped[datetime] = mapped_column(default=now)
    updated_at: Mapped[datetime] = mapped_column(default=now, onupdate=now)
    plan: Mapped[str] = mapped_column(default="unlimited")
    settings: Mapped[dict[str, Any]] = mapped_column(default=dict)
    requires_second_factor: Mapped[bool] = mapped_column(
        Computed("coalesce((settings #>> '{mfa,required}')::boolean, false)", persisted=True)
    )
    required_connection: Mapped[UUID | None] = mapped_column(default=None)
    """The connection to an identity provider by which all but owners must log in."""
    erase_after: Mapped[datetime | None] = mapped_column(default=None)
    """Until then a tenant that is `deleting` can be restored; without one its erasure has begun."""

    def change(self, patch: TenantPatch) -> None:
        self.settings = SETTINGS.merge(self.settings, patch.settings)
        self.name, self.slug = patch.name or self.name, patch.slug or self.slug

    def suspend(self) -> None:
        self._turn("suspended", unless="deleting")

    def resume(self) -> None:
        self._turn("active", unless="deleting")

    def schedule_erasure(self, grace: timedelta) -> None:
        """Everybody is locked out from now on. Who asks again does not change the date, unless to an earlier one."""
        erase_after = now() + grace
        if self.status == "deleting":
            erase_after = min(erase_after, self.erase_after or erase_after)
        self.status, self.erase_after = "deleting", erase_after

    def restore(self) -> None:
        if self.status != "deleting" or self.erase_after is None or self.erase_after <= now():
            raise TenantNotRestorable
        self.status, self.erase_after = "active", None

    def _turn(self, status: str, *, unless: str) -> None:
        if self.status == unless:
            raise StatusHinders(status=self.status)
        self.status = status


class PlanQuotaRow(Base):
    """Global: a mirror of what slices declare, rewritten by every migration run. A plan without a row has no limit."""

    __tablename__ = "plan_quotas"

    plan: Mapped[str] = mapped_column(primary_key=True)
    quota: Mapped[str] = mapped_column(primary_key=True)
    most: Mapped[int]


class ErasureRow(Base):
    """Global: evidence that outlives the tenant, whose id it has. The report is signed, and names no person."""

    __tablename__ = "erasures"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    report: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=now)


class MembershipRow(TenantOwned):
    """Of a person or of a service account, in a built-in or a custom role.

    `permissions`, `tenant_status`, `tenant_plan` and what the tenant requires are copies that the database keeps, of
    the custom role and of the tenant: `begin_request` finds in one row all that the subject may do.
    """

    __tablename__ = "memberships"
    __table_args__ = (
        UniqueConstraint("tenant_id", "subject_id"),
        CheckConstraint("num_nonnulls(user_id, service_account_id) = 1", name="subject"),
        CheckConstraint("num_nonnulls(role, custom_role) = 1", name="role"),
        tenant_foreign_key("service_account_id", "service_accounts.id", ondelete="CASCADE"),
        tenant_foreign_key("custom_role", "custom_roles.name", onupdate="CASCADE"),
        Index(None, "user_id"),
        Index(None, "subject_id"),
        Index(None, "tenant_id", "created_at", "id"),
    )
    readable_across_tenants: ClassVar[bool] = True
    quota: ClassVar = Quota("members", free=10, team=500, counting="user_id IS NOT NULL")

    user_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"), default=None)
    role: Mapped[str | None] = mapped_column(ForeignKey("roles.name"), default=None)
    service_account_id: Mapped[UUID | None] = mapped_column(default=None)
    subject_id: Mapped[UUID] = mapped_column(Computed("coalesce(user_id, service_account_id)", persisted=True))
    custom_role: Mapped[str | None] = mapped_column(default=None)
    permissions: Mapped[list[str]] = mapped_column(server_default=FetchedValue())
    tenant_status: Mapped[str] = mapped_column(server_default=FetchedValue())
    tenant_plan: Mapped[str] = mapped_column(server_default=FetchedValue())
    requires_second_factor: Mapped[bool] = mapped_column(server_default=FetchedValue())
    required_connection: Mapped[UUID | None] = mapped_column(server_default=FetchedValue())

    @property
    def named_role(self) -> str:
        return self.role or self.custom_role or ""

    @property
    def is_service_account(self) -> bool:
        return self.service_account_id is not None

    def assume(self, role: str) -> None:
        if role == Role.owner.name and self.user_id is None:
            raise OwnerIsAPerson
        self.role, self.custom_role = (role, None) if role in Role.__members__ else (None, role)
