from datetime import datetime, timedelta
from math import ceil
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from features.members.errors import InvitedJustNow
from tenantry.clock import now
from tenantry.db.base import SECRET, VIEW, Base, TenantOwned, tenant_foreign_key
from tenantry.ids import new_id
from tenantry.security.permissions import Role

LIFETIME = timedelta(days=7)
MAIL_INTERVAL = timedelta(minutes=1)


class PersonRow(Base):
    """A view of all accounts, as slices other than theirs may see them. Global, as accounts are."""

    __tablename__ = "people"
    __table_args__ = VIEW

    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str]
    email: Mapped[str]


class MemberRow(TenantOwned):
    """A view of memberships and `people`, for the caller's rights: it shows members of the bound tenant only.

    `id` is the person's.
    """

    __tablename__ = "members"
    __table_args__ = VIEW

    name: Mapped[str]
    email: Mapped[str]
    role: Mapped[str]


class InvitationRow(TenantOwned):
    """For an address, to a built-in or a custom role; to accept it deletes it."""

    __tablename__ = "invitations"
    __table_args__ = (
        UniqueConstraint("tenant_id", "email"),
        UniqueConstraint("tenant_id", "token_hash"),
        CheckConstraint("num_nonnulls(built_in_role, custom_role) = 1", name="role"),
        tenant_foreign_key("custom_role", "custom_roles.name", onupdate="CASCADE"),
        Index(None, "tenant_id", "created_at", "id"),
    )

    email: Mapped[str]
    built_in_role: Mapped[str | None] = mapped_column(ForeignKey("roles.name"), default=None)
    custom_role: Mapped[str | None] = mapped_column(default=None)
    token_hash: Mapped[bytes] = mapped_column(info=SECRET)
    invited_by: Mapped[UUID]
    sent_at: Mapped[datetime]
    expires_at: Mapped[datetime]

    @classmethod
    def to(cls, email: str, role: str, *, by: UUID, token_hash: bytes) -> "InvitationRow":
        column = "built_in_role" if role in Role.__members__ else "custom_role"
        row = cls(id=new_id(), email=email, invited_by=by, **{column: role})
        row.send(token_hash)
        return row

    @property
    def role(self) -> str:
        return self.built_in_role or self.custom_role or ""

    def send(self, token_hash: bytes) -> None:
        """The token of an earlier mail is good for nothing from now on."""
        self.token_hash, self.sent_at, self.expires_at = token_hash, now(), now() + LIFETIME

    def require_pause(self) -> None:
        wait = self.sent_at + MAIL_INTERVAL - now()
        if wait > timedelta():
            raise InvitedJustNow(retry_after=ceil(wait.total_seconds()))
