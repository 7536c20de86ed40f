from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from features.sso_connections.errors import NoOwnersByDefault
from tenantry.clock import now
from tenantry.db.base import Base, TenantOwned, sealed_for, tenant_foreign_key
from tenantry.security.permissions import Role

PURPOSE = "secret of an sso connection"


class ConnectionRow(TenantOwned):
    """To an identity provider that the tenant brings along. Its word counts in this tenant and nowhere else."""

    __tablename__ = "sso_connections"
    __table_args__ = (
        UniqueConstraint("tenant_id", "name"),
        CheckConstraint("num_nonnulls(built_in_role, custom_role) = 1", name="role"),
        CheckConstraint("built_in_role <> 'owner'", name="no_owner"),
        tenant_foreign_key("custom_role", "custom_roles.name", onupdate="CASCADE"),
    )

    name: Mapped[str]
    issuer: Mapped[str]
    client_id: Mapped[str]
    client_secret: Mapped[bytes] = mapped_column(info=sealed_for(PURPOSE))
    domains: Mapped[list[str]]
    built_in_role: Mapped[str | None] = mapped_column(ForeignKey("roles.name"), default=None)
    custom_role: Mapped[str | None] = mapped_column(default=None)

    @property
    def default_role(self) -> str:
        return self.built_in_role or self.custom_role or ""

    def assume(self, default_role: str) -> None:
        if default_role == Role.owner.name:
            raise NoOwnersByDefault
        is_built_in = default_role in Role.__members__
        self.built_in_role, self.custom_role = (default_role, None) if is_built_in else (None, default_role)


class DomainRow(Base):
    """Global: an address has to lead to a tenant before anybody is known. Only the operator's command writes it."""

    __tablename__ = "sso_domains"

    domain: Mapped[str] = mapped_column(primary_key=True)
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenants.id", ondelete="CASCADE"))
    confirmed_at: Mapped[datetime] = mapped_column(default=now)
