from uuid import UUID

from litestar import Controller, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from features.projects.dtos import Project, ProjectCreate, ProjectPatch
from features.projects.models import ProjectRow
from features.projects.permissions import READ, WRITE
from features.projects.repository import ProjectRepository
from tenantry.db.bulk import Bulk, BulkIds
from tenantry.db.page import Page
from tenantry.http.page import PageQuery, lists
from tenantry.http.policy import allow

Projects = NamedDependency[ProjectRepository]


class ProjectController(Controller):
    path = "/projects"

    @get(opt=allow(READ) | lists(ProjectRepository), summary="List projects")
    async def list(self, projects: Projects, page: PageQuery) -> Page[Project]:
        return await projects.page(page)

    @post(opt=allow(WRITE, audit="project.created", idempotent=True), summary="Create a project")
    async def create(self, data: JSONBody[ProjectCreate], projects: Projects) -> Project:
        return await projects.add(ProjectRow.of(data))

    @post("/bulk", opt=allow(WRITE, audit="project.created", idempotent=True), summary="Create many projects")
    async def create_many(self, data: JSONBody[Bulk[ProjectCreate]], projects: Projects) -> Bulk[Project]:
        return await projects.add_all([ProjectRow.of(item) for item in data.items])

    @post("/bulk/delete", opt=allow(WRITE, audit="project.deleted"), status_code=204, summary="Delete many projects")
    async def delete_many(self, data: JSONBody[BulkIds], projects: Projects) -> None:
        await projects.remove_all(data.ids)

    @get("/{project_id:uuid}", opt=allow(READ), summary="Get a project")
    async def get(self, project_id: FromPath[UUID], projects: Projects) -> Project:
        return await projects.get(project_id)

    @patch("/{project_id:uuid}", opt=allow(WRITE, audit="project.changed"), summary="Change a project")
    async def change(self, project_id: FromPath[UUID], data: JSONBody[ProjectPatch], projects: Projects) -> Project:
        """Fields that are left out stay as they are."""
        return await projects.alter(project_id, lambda project: project.change(data))

    @delete("/{project_id:uuid}", opt=allow(WRITE, audit="project.deleted"), summary="Delete a project")
    async def delete(self, project_id: FromPath[UUID], projects: Projects) -> None:
        await projects.remove(project_id)

    @post("/{project_id:uuid}/archive", opt=allow(WRITE, audit="project.archived"), status_code=200, summary="Archive")
    async def archive(self, project_id: FromPath[UUID], projects: Projects) -> Project:
        """An archived project cannot be changed until it is restored."""
        return await projects.alter(project_id, ProjectRow.archive)

    @post("/{project_id:uuid}/restore", opt=allow(WRITE, audit="project.restored"), status_code=200, summary="Restore")
    async def restore(self, project_id: FromPath[UUID], projects: Projects) -> Project:
        return await projects.alter(project_id, ProjectRow.restore)
