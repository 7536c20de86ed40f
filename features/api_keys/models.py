from datetime import datetime, timedelta
from typing import ClassVar
from uuid import UUID

from sqlalchemy import Index
from sqlalchemy.orm import Mapped, mapped_column

from features.api_keys.errors import ApiKeyEnded
from tenantry.clock import now
from tenantry.db.base import SECRET, TenantOwned, tenant_foreign_key
from tenantry.plans import Quota
from tenantry.security.api_keys import NewKey


class ApiKeyRow(TenantOwned):
    """It lives as long as the membership of its subject, and never does more than that may."""

    __tablename__ = "api_keys"
    __table_args__ = (
        tenant_foreign_key("subject_id", "memberships.subject_id", ondelete="CASCADE"),
        Index(None, "tenant_id", "created_at", "id"),
        Index(None, "tenant_id", "subject_id"),
    )
    quota: ClassVar = Quota("api_keys", free=5, team=200, counting="revoked_at IS NULL")

    subject_id: Mapped[UUID]
    name: Mapped[str]
    hint: Mapped[str]
    """The last characters of the key."""
    secret_hash: Mapped[bytes] = mapped_column(info=SECRET)
    previous_hash: Mapped[bytes | None] = mapped_column(default=None, info=SECRET)
    previous_until: Mapped[datetime | None] = mapped_column(default=None)
    """Until when the key before the last rotation is good as well."""
    scopes: Mapped[list[str]]
    expires_at: Mapped[datetime | None] = mapped_column(default=None)
    last_used_at: Mapped[datetime | None] = mapped_column(default=None)
    """To the minute; written by `begin_key_request`."""
    revoked_at: Mapped[datetime | None] = mapped_column(default=None)
    created_by: Mapped[UUID]

    def rotate(self, key: NewKey, overlap: timedelta) -> None:
        """A key that was itself in its overlap stops working: at most two are good at a time."""
        self._require_live()
        self.previous_hash, self.previous_until = self.secret_hash, now() + overlap
        self.secret_hash, self.hint = key.secret_hash, key.hint

    def rescope(self, scopes: list[str]) -> None:
        self._require_live()
        self.scopes = scopes

    def rename(self, name: str) -> None:
        self._require_live()
        self.name = name

    def revoke(self) -> None:
        self.revoked_at = self.revoked_at or now()

    def _require_live(self) -> None:
        if self.revoked_at is not None or (self.expires_at is not None and self.expires_at <= now()):
            raise ApiKeyEnded
