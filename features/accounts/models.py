from datetime import datetime
from uuid import UUID

from sqlalchemy import Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from features.accounts.errors import AccountIsDeleted
from tenantry.clock import now
from tenantry.db.base import Base
from tenantry.ids import new_id

ANONYMOUS_DOMAIN = "@deleted.invalid"
"""No mail reaches a name under .invalid, and nobody can have one: RFC 2606."""


class UserRow(Base):
    """Global: one person is a member of many tenants. The address is confirmed and lower-case."""

    __tablename__ = "users"
    __table_args__ = (UniqueConstraint("email"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    email: Mapped[str]
    name: Mapped[str]
    password_hash: Mapped[str | None]
    """None where one has never been chosen."""
    second_factor_at: Mapped[datetime | None] = mapped_column(default=None)
    """Since when a log-in takes a second step. The slice that has the factors sets it."""
    disabled_at: Mapped[datetime | None] = mapped_column(default=None)
    created_at: Mapped[datetime] = mapped_column(default=now)
    updated_at: Mapped[datetime] = mapped_column(default=now, onupdate=now)

    def rename(self, name: str) -> None:
        self.name = name

    def disable(self) -> None:
        self.disabled_at = self.disabled_at or now()

    def enable(self) -> None:
        if self.email.endswith(ANONYMOUS_DOMAIN):
            raise AccountIsDeleted
        self.disabled_at = None

    def anonymize(self) -> None:
        """Nothing is left that says whose it was; the id stays, which others refer to."""
        self.email, self.name, self.password_hash = f"{self.id}{ANONYMOUS_DOMAIN}", "", None
        self.second_factor_at = None
        self.disable()


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
