from datetime import datetime

from sqlalchemy import Index
from sqlalchemy.orm import Mapped, mapped_column

from tenantry.db.base import Base

__all__ = ("ThrottleRow",)


class ThrottleRow(Base):
    """Global: attempts are counted before anybody knows whose they are. A row is worth nothing once `until` is past."""

    __tablename__ = "throttles"
    __table_args__ = (Index(None, "until"),)

    name: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[bytes] = mapped_column(primary_key=True)
    until: Mapped[datetime]
    """When the key will be as good as new."""
