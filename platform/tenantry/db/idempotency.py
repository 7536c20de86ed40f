"""The table of answers that are given again."""

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import Index
from sqlalchemy.orm import Mapped, mapped_column

from tenantry.db.base import SECRET, TenantOwned

__all__ = ("IdempotencyKeyRow",)


class IdempotencyKeyRow(TenantOwned):
    """The first answer to a request with an idempotency key; `id` is made of all that the key is bound to.

    People see their own answers of every tenant, for the routes that ask for no tenant: a tenant that was just created
    holds the answer that says so.
    """

    __tablename__ = "idempotency_keys"
    __table_args__ = (Index(None, "tenant_id", "expires_at"),)
    readable_across_tenants: ClassVar[bool] = True

    subject_id: Mapped[UUID]
    method: Mapped[str]
    path: Mapped[str]
    fingerprint: Mapped[bytes] = mapped_column(info=SECRET)
    """Of what was sent, with or without a body."""
    status: Mapped[int]
    headers: Mapped[dict[str, Any]]
    body: Mapped[bytes] = mapped_column(info=SECRET)
    expires_at: Mapped[datetime]
