from features.projects.tests.factories import ProjectFactory
from tenantry.clock import now
from tenantry.testing import Api, TenantHandle, problem


async def test_rename(api: Api, acme: TenantHandle) -> None:
    """A member renames a project, and the answer carries the new name."""
    project = await acme.has(ProjectFactory, name="Apollo")

    response = await api.as_(acme.member).patch(f"/projects/{project.id}", json={"name": "Gemini"})

    assert (200, "Gemini") == (response.status_code, response.json()["name"])


async def test_archived_project_keeps_its_name(api: Api, acme: TenantHandle) -> None:
    """Renaming an archived project answers 409 project_archived."""
    project = await acme.has(ProjectFactory, archived_at=now())

    response = await api.as_(acme.admin).patch(f"/projects/{project.id}", json={"name": "Gemini"})

    assert problem(409, "project_archived") == response
