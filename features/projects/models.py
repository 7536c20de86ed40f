from datetime import datetime

from sqlalchemy import Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column
from tenantry.clock import now
from tenantry.db.base import TenantOwned

from features.projects.errors import ProjectArchived


class ProjectRow(TenantOwned):
    __tablename__ = "projects"
    __table_args__ = (
        UniqueConstraint("tenant_id", "name"),
        Index(None, "tenant_id", "created_at", "id"),
        Index(None, "tenant_id", "updated_at", "id"),
    )

    name: Mapped[str]
    description: Mapped[str] = mapped_column(default="")
    archived_at: Mapped[datetime | None] = mapped_column(default=None)

    def rename(self, name: str) -> None:
        self._require_active()
        self.name = name

    def describe(self, description: str) -> None:
        self._require_active()
        self.description = description

    def archive(self) -> None:
        self.archived_at = self.archived_at or now()

    def restore(self) -> None:
        self.archived_at = None

    def _require_active(self) -> None:
        if self.archived_at is not None:
            raise ProjectArchived
