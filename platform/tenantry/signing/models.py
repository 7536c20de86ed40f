from datetime import datetime

from sqlalchemy.orm import Mapped, mapped_column

from tenantry.clock import now
from tenantry.db.base import Base, sealed_for

__all__ = ("PURPOSE", "SigningKeyRow")

PURPOSE = "signing key"


class SigningKeyRow(Base):
    """Global: the service signs for all. It only reads them; `tenantry keys` writes, as the owner."""

    __tablename__ = "signing_keys"

    id: Mapped[str] = mapped_column(primary_key=True)
    algorithm: Mapped[str]
    public_key: Mapped[bytes]
    """Kept for good: reports that it has signed are evidence for years."""
    sealed_key: Mapped[bytes | None] = mapped_column(info=sealed_for(PURPOSE))
    """The private part; gone once nothing that it has signed can be good any more."""
    created_at: Mapped[datetime] = mapped_column(default=now)
    signs_from: Mapped[datetime]
    withdrawn_at: Mapped[datetime | None] = mapped_column(default=None)
    """Since when nothing that it has signed is believed."""
