import secrets
from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from tenantry.clock import now
from tenantry.db.base import SECRET, Base, sealed_for
from tenantry.ids import new_id

PURPOSE = "totp secrets"
CODES = 10
CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
GROUPS, GROUP_LENGTH = 7, 4
LOOKALIKES = str.maketrans({"O": "0", "I": "1", "L": "1", "-": None, " ": None})


class FactorRow(Base):
    """Global: a factor is a person's, in whatever tenant. One that is confirmed, of any kind."""

    __tablename__ = "second_factors"
    __table_args__ = (Index(None, "user_id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    kind: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=now)


class TotpRow(Base):
    """Global, as the factor that it becomes once a first code has confirmed it."""

    __tablename__ = "totp_secrets"

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    factor_id: Mapped[UUID | None] = mapped_column(ForeignKey("second_factors.id", ondelete="CASCADE"))
    """None until it is confirmed."""
    sealed_secret: Mapped[bytes] = mapped_column(info=sealed_for(PURPOSE, owner="user_id"))
    last_step: Mapped[int] = mapped_column(default=0)
    """Of the last code that was used: no code of then or before is good again."""
    created_at: Mapped[datetime] = mapped_column(default=now)


class RecoveryCodeRow(Base):
    """Global, as the factors that it stands in for. A code that was used is deleted."""

    __tablename__ = "recovery_codes"

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    code_hash: Mapped[bytes] = mapped_column(primary_key=True, info=SECRET)


def new_recovery_codes() -> list[str]:
    """Each has 140 random bits, so that its hash needs to be no slow one."""
    return ["-".join(_group() for _ in range(GROUPS)) for _ in range(CODES)]


def plain(code: str) -> str:
    """As it was made, however a person has typed it."""
    return code.upper().translate(LOOKALIKES)


def _group() -> str:
    return "".join(secrets.choice(CROCKFORD) for _ in range(GROUP_LENGTH))
