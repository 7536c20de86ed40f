import hmac
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from tenantry.clock import now
from tenantry.db.base import Base
from tenantry.ids import new_id

LIFETIME = timedelta(hours=24)


class AddressChangeRow(Base):
    """Global, as the person: a new address that both ends have yet to confirm. A later one takes its place."""

    __tablename__ = "address_changes"
    __table_args__ = (
        UniqueConstraint("user_id"),
        UniqueConstraint("old_token_hash"),
        UniqueConstraint("new_token_hash"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    email: Mapped[str]
    old_token_hash: Mapped[bytes | None]
    """Of the link that went to the address of now; none once it was used."""
    new_token_hash: Mapped[bytes | None]
    created_at: Mapped[datetime] = mapped_column(default=now)
    expires_at: Mapped[datetime]

    def confirm(self, token_hash: bytes) -> bool:
        """Whether both ends have now done so."""
        if hmac.compare_digest(self.old_token_hash or b"", token_hash):
            self.old_token_hash = None
        if hmac.compare_digest(self.new_token_hash or b"", token_hash):
            self.new_token_hash = None
        return self.old_token_hash is None and self.new_token_hash is None
