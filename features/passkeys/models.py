from datetime import datetime
from typing import Self
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column
from webauthn.registration.verify_registration_response import VerifiedRegistration

from tenantry.clock import now
from tenantry.db.base import SECRET, Base


class PasskeyRow(Base):
    """Global, as the factor that it is: its id is that of the factor, with which it goes."""

    __tablename__ = "passkeys"
    __table_args__ = (UniqueConstraint("credential_id"), Index(None, "user_id"))

    id: Mapped[UUID] = mapped_column(ForeignKey("second_factors.id", ondelete="CASCADE"), primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    name: Mapped[str]
    credential_id: Mapped[bytes] = mapped_column(info=SECRET)
    public_key: Mapped[bytes] = mapped_column(info=SECRET)
    sign_count: Mapped[int] = mapped_column(BigInteger)
    """How often its authenticator has signed; 0 of those that do not count."""
    transports: Mapped[list[str]]
    backed_up: Mapped[bool]
    created_at: Mapped[datetime] = mapped_column(default=now)
    last_used_at: Mapped[datetime | None] = mapped_column(default=None)

    @classmethod
    def registered(
        cls, id: UUID, user_id: UUID, name: str, verified: VerifiedRegistration, transports: list[str]
    ) -> Self:
        return cls(
            id=id,
            user_id=user_id,
            name=name,
            credential_id=verified.credential_id,
            public_key=verified.credential_public_key,
            sign_count=verified.sign_count,
            transports=transports,
            backed_up=verified.credential_backed_up,
        )


class CeremonyRow(Base):
    """Global: nobody need be logged in yet. What an authenticator is to sign, once."""

    __tablename__ = "passkey_ceremonies"
    __table_args__ = (Index(None, "expires_at"),)

    challenge_hash: Mapped[bytes] = mapped_column(primary_key=True, info=SECRET)
    purpose: Mapped[str]
    user_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    """None where the passkey is to say who it is."""
    expires_at: Mapped[datetime]
