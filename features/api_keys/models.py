from datetime import datetime
from uuid import UUID

from sqlalchemy import Index
from sqlalchemy.orm import Mapped, mapped_column

from tenantry.db.base import TenantOwned, tenant_foreign_key


class ApiKeyRow(TenantOwned):
    """It lives as long as the membership of its subject, and never does more than that may."""

    __tablename__ = "api_keys"
    __table_args__ = (
        tenant_foreign_key("subject_id", "memberships.subject_id", ondelete="CASCADE"),
        Index(None, "tenant_id", "created_at", "id"),
        Index(None, "tenant_id", "subject_id"),
    )

    subject_id: Mapped[UUID]
    name: Mapped[str]
    hint: Mapped[str]
    """The last characters of the key."""
    secret_hash: Mapped[bytes]
    previous_hash: Mapped[bytes | None] = mapped_column(default=None)
    previous_until: Mapped[datetime | None] = mapped_column(default=None)
    """Until when the key before the last rotation is good as well."""
    scopes: Mapped[list[str]]
    expires_at: Mapped[datetime | None] = mapped_column(default=None)
    last_used_at: Mapped[datetime | None] = mapped_column(default=None)
    """To the minute; written by `begin_key_request`."""
    revoked_at: Mapped[datetime | None] = mapped_column(default=None)
    created_by: Mapped[UUID]
