from datetime import datetime
from typing import ClassVar

from sqlalchemy import Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from features.projects.dtos import ProjectPatch
from features.projects.errors import ProjectArchived
from tenantry.clock import now
from tenantry.db.base import TenantOwned, searchable
from tenantry.plans import Quota


class ProjectRow(TenantOwned):
    __tablename__ = "projects"
    __table_args__ = (
        UniqueConstraint("tenant_id", "name"),
        Index(None, "tenant_id", "created_at", "id"),
        Index(None, "tenant_id", "updated_at", "id"),
    )
    quota: ClassVar = Quota("projects", free=20, team=2_000)

    name: Mapped[str]
    description: Mapped[str] = mapped_column(default="")
    archived_at: Mapped[datetime | None] = mapped_column(default=None)
    search: Mapped[str] = searchable("name", "description")

    def change(self, patch: ProjectPatch) -> None:
        if self.archived_at is not None:
            raise ProjectArchived
        self.apply(patch)

    def archive(self) -> None:
        self.archived_at = self.archived_at or now()

    def restore(self) -> None:
        self.archived_at = None
