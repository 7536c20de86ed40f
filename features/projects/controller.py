from typing import Annotated
from uuid import UUID

from litestar import Controller, delete, get, patch, post
from litestar.params import Parameter
from msgspec import UNSET
from tenantry.db.page import Page, PageRequest
from tenantry.http.policy import allow

from features.projects.dtos import Project, ProjectCreate, ProjectPatch
from features.projects.models import ProjectRow
from features.projects.permissions import READ, WRITE
from features.projects.repository import ProjectRepository


class ProjectController(Controller):
    path = "/projects"

    @get(opt=allow(READ), summary="List projects")
    async def list(
        self,
        projects: ProjectRepository,
        page: PageRequest,
        name: Annotated[str | None, Parameter(description="Part of the name, in any case", max_length=200)] = None,
        archived: Annotated[bool | None, Parameter(description="Only archived, or only active ones")] = None,
    ) -> Page[Project]:
        """Sortable by created_at, updated_at and name."""
        return await projects.list(page, name=name, archived=archived)

    @post(opt=allow(WRITE, audit="project.created"), summary="Create a project")
    async def create(self, data: ProjectCreate, projects: ProjectRepository) -> Project:
        return await projects.add(ProjectRow(name=data.name, description=data.description))

    @get("/{project_id:uuid}", opt=allow(READ), summary="Get a project")
    async def get(self, project_id: UUID, projects: ProjectRepository) -> Project:
        return await projects.get(project_id)

    @patch("/{project_id:uuid}", opt=allow(WRITE, audit="project.changed"), summary="Change a project")
    async def change(self, project_id: UUID, data: ProjectPatch, projects: ProjectRepository) -> Project:
        """Fields that are left out stay as they are."""
        project = await projects.entity(project_id)
        if data.name is not UNSET:
            project.rename(data.name)
        if data.description is not UNSET:
            project.describe(data.description)
        return await projects.save(project)

    @delete("/{project_id:uuid}", opt=allow(WRITE, audit="project.deleted"), summary="Delete a project")
    async def delete(self, project_id: UUID, projects: ProjectRepository) -> None:
        await projects.remove(project_id)

    @post("/{project_id:uuid}/archive", opt=allow(WRITE, audit="project.archived"), status_code=200,
          summary="Archive a project")  # fmt: skip
    async def archive(self, project_id: UUID, projects: ProjectRepository) -> Project:
        """An archived project cannot be changed until it is restored."""
        project = await projects.entity(project_id)
        project.archive()
        return await projects.save(project)

    @post("/{project_id:uuid}/restore", opt=allow(WRITE, audit="project.restored"), status_code=200,
          summary="Restore a project")  # fmt: skip
    async def restore(self, project_id: UUID, projects: ProjectRepository) -> Project:
        project = await projects.entity(project_id)
        project.restore()
        return await projects.save(project)
