from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from tenantry.clock import now
from tenantry.db.base import Base
from tenantry.ids import new_id


class UserRow(Base):
    """Global: one person is a member of many tenants. The address is confirmed and lower-case."""

    __tablename__ = "users"
    __table_args__ = (UniqueConstraint("email"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    email: Mapped[str]
    name: Mapped[str]
    password_hash: Mapped[str]
    disabled_at: Mapped[datetime | None] = mapped_column(default=None)
    created_at: Mapped[datetime] = mapped_column(default=now)
    updated_at: Mapped[datetime] = mapped_column(default=now, onupdate=now)


class SignUpRow(Base):
    """Global: nobody is anybody's member yet.

    The password waits here with its own link, so that who confirms an address gets the password of that very
    sign-up, and not that of a stranger who signed up with the same address.
    """

    __tablename__ = "sign_ups"
    __table_args__ = (UniqueConstraint("token_hash"), Index(None, "email", "created_at"))

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    email: Mapped[str]
    name: Mapped[str]
    password_hash: Mapped[str]
    token_hash: Mapped[bytes]
    created_at: Mapped[datetime] = mapped_column(default=now)
    expires_at: Mapped[datetime]


class SessionRow(Base):
    """Global: a session belongs to a person and can work for one tenant after another."""

    __tablename__ = "sessions"
    __table_args__ = (Index(None, "user_id", "last_used_at"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    tenant_id: Mapped[UUID | None] = mapped_column(ForeignKey("tenants.id"))
    user_agent: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=now)
    last_used_at: Mapped[datetime] = mapped_column(default=now)
    expires_at: Mapped[datetime]
    ended_at: Mapped[datetime | None] = mapped_column(default=None)
    end_reason: Mapped[str | None] = mapped_column(default=None)

    @property
    def is_live(self) -> bool:
        return self.ended_at is None and self.expires_at > now()

    def end(self, reason: str) -> None:
        self.ended_at = self.ended_at or now()
        self.end_reason = self.end_reason or reason

    def prolong(self, by: timedelta) -> None:
        self.last_used_at = now()
        self.expires_at = now() + by


class RefreshTokenRow(Base):
    """Global, as its session. Each use makes a child; only one descendant is ever live."""

    __tablename__ = "refresh_tokens"
    __table_args__ = (UniqueConstraint("token_hash"), Index(None, "session_id"))

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    session_id: Mapped[UUID] = mapped_column(ForeignKey("sessions.id"))
    parent_id: Mapped[UUID | None] = mapped_column(default=None)
    token_hash: Mapped[bytes]
    created_at: Mapped[datetime] = mapped_column(default=now)
    used_at: Mapped[datetime | None] = mapped_column(default=None)
    superseded_at: Mapped[datetime | None] = mapped_column(default=None)
    """Set when its parent was used again, as if the reply that carried this token had been lost."""
