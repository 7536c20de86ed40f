from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from features.sessions.dtos import Proof
from tenantry.clock import now
from tenantry.db.base import Base
from tenantry.ids import new_id
from tenantry.visitor import Visitor

BROWSERS = {"Edg": "Edge", "OPR/": "Opera", "Firefox/": "Firefox", "Chrome/": "Chrome", "Safari/": "Safari"}
SYSTEMS = {
    "Windows": "Windows", "iPhone": "iPhone", "iPad": "iPad", "Android": "Android", "CrOS": "ChromeOS",
    "Mac OS X": "macOS", "Linux": "Linux",
}  # fmt: skip
"""Of several that a user agent names, the first here is the one that it is."""


class SessionRow(Base):
    """Global: a session belongs to a person and can work for one tenant after another."""

    __tablename__ = "sessions"
    __table_args__ = (
        Index(None, "user_id", "last_used_at"),
        Index(None, "connection_id", postgresql_where=text("connection_id IS NOT NULL")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    tenant_id: Mapped[UUID | None] = mapped_column(ForeignKey("tenants.id"))
    user_agent: Mapped[str]
    address: Mapped[str] = mapped_column(server_default="")
    """From which it was opened, or last refreshed."""
    opened_from: Mapped[str] = mapped_column(server_default="")
    """The address at which its owner has shown a secret: whoever refreshes a session has only a token."""
    created_at: Mapped[datetime] = mapped_column(default=now)
    last_used_at: Mapped[datetime] = mapped_column(default=now)
    expires_at: Mapped[datetime]
    """When it ends unless it is used again; never after `ends_at`."""
    ends_at: Mapped[datetime]
    ended_at: Mapped[datetime | None] = mapped_column(default=None)
    end_reason: Mapped[str | None] = mapped_column(default=None)
    methods: Mapped[list[str]] = mapped_column(server_default="{}")
    """How its owner has proven who they are, as RFC 8176 names it."""
    authenticated_at: Mapped[datetime | None] = mapped_column(default=None)
    """When they last did so here. None where only a tenant's own provider says who they are."""
    second_factor_at: Mapped[datetime | None] = mapped_column(default=None)
    connection_id: Mapped[UUID | None] = mapped_column(default=None)
    """The connection to another identity provider by which the session was opened."""
    only_tenant_id: Mapped[UUID | None] = mapped_column(default=None)
    """Of a session that a tenant's own provider vouches for: it must not reach into other tenants."""

    holder: Mapped[str | None] = mapped_column(default=None)
    """Thumbprint of the key to which all tokens of the session are bound; none where they are bound to none."""

    @property
    def is_live(self) -> bool:
        return self.ended_at is None and self.expires_at > now()

    def end(self, reason: str) -> None:
        self.ended_at = self.ended_at or now()
        self.end_reason = self.end_reason or reason

    def prove(self, proof: Proof) -> None:
        self.authenticated_at = min(proof.at or now(), now())
        if proof.has_second_factor:
            self.second_factor_at = now()
        self.methods = sorted({*self.methods, *proof.methods})

    def visited(self, visitor: Visitor, prolong: timedelta) -> None:
        self.user_agent, self.address = visitor.user_agent, visitor.address
        self.last_used_at = now()
        self.expires_at = min(now() + prolong, self.ends_at)


def device_of(user_agent: str) -> str:
    """What a person may know it by: `Firefox on Windows`."""
    browser = next((name for mark, name in BROWSERS.items() if mark in user_agent), None)
    system = next((name for mark, name in SYSTEMS.items() if mark in user_agent), None)
    if browser and system:
        return f"{browser} on {system}"
    return browser or system or user_agent.partition(" ")[0] or "unknown"


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
