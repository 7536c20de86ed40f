from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from tenantry.db.base import Base, sealed_for
from tenantry.ids import new_id

PURPOSE = "flow of an sso log-in"


class FlowRow(Base):
    """Global: nobody is logged in yet. It is good for one answer of the provider, then for one exchange of a code."""

    __tablename__ = "sso_flows"
    __table_args__ = (UniqueConstraint("state_hash"), UniqueConstraint("code_hash"), Index(None, "expires_at"))

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    state_hash: Mapped[bytes | None]
    code_hash: Mapped[bytes | None] = mapped_column(default=None)
    browser_hash: Mapped[bytes]
    sealed: Mapped[bytes] = mapped_column(info=sealed_for(PURPOSE))
    tenant_id: Mapped[UUID | None] = mapped_column(ForeignKey("tenants.id"))
    connection_id: Mapped[UUID | None]
    issuer: Mapped[str]
    requires_iss: Mapped[bool]
    return_to: Mapped[str]
    challenge: Mapped[str | None]
    session_id: Mapped[UUID | None]
    expires_at: Mapped[datetime]
