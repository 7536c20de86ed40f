from datetime import datetime
from uuid import UUID

from sqlalchemy import Index
from sqlalchemy.orm import Mapped, mapped_column

from tenantry.clock import now
from tenantry.db.base import Base, sealed_for
from tenantry.ids import new_id

__all__ = ("PURPOSE", "QueuedMailRow")

PURPOSE = "mail queue"


class QueuedMailRow(Base):
    """Global: mail goes to people, and many of them are nobody's member yet. Gone as soon as the mail is sent.

    Nothing in it can be read without the key of the service: recipient and links are sealed.
    """

    __tablename__ = "mail_queue"
    __table_args__ = (Index(None, "due_at"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    created_at: Mapped[datetime] = mapped_column(default=now)
    due_at: Mapped[datetime] = mapped_column(default=now)
    """When it is to be tried next; also how long somebody who tries it now has for it."""
    attempts: Mapped[int] = mapped_column(default=0)
    sealed: Mapped[bytes] = mapped_column(info=sealed_for(PURPOSE))
