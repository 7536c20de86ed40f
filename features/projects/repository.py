from features.projects.dtos import Project
from features.projects.errors import ProjectNotFound
from features.projects.models import ProjectRow
from tenantry.db.page import Page, PageRequest
from tenantry.db.repository import Repository


class ProjectRepository(Repository[ProjectRow, Project]):
    sortable = ("created_at", "updated_at", "name")
    not_found = ProjectNotFound

    async def list(self, page: PageRequest, *, name: str | None, archived: bool | None) -> Page[Project]:
        views = self.views if name is None else self.views.where(ProjectRow.name.icontains(name, autoescape=True))
        if archived is not None:
            views = views.where(ProjectRow.archived_at.is_not(None) if archived else ProjectRow.archived_at.is_(None))
        return await self.page(views, page)
