from uuid import uuid4

from features.projects.tests.factories import ProjectFactory
from tenantry.clock import now
from tenantry.testing import Api, TenantHandle, problem


async def test_create(api: Api, acme: TenantHandle) -> None:
    """A member creates a project, which is active, and finds it by its id."""
    created = await api.as_(acme.member).post("/projects", json={"name": "Apollo", "description": "To the moon"})
    found = await api.as_(acme.viewer).get(f"/projects/{created.json()['id']}")

    assert 201 == created.status_code
    assert created.json() == found.json()
    assert ("Apollo", "To the moon", None) == tuple(found.json()[k] for k in ("name", "description", "archived_at"))


async def test_name_is_unique_within_a_tenant(api: Api, acme: TenantHandle, globex: TenantHandle) -> None:
    """A second project of the same name is refused in the same tenant and welcome in another."""
    await acme.has(ProjectFactory, name="Apollo")

    same = await api.as_(acme.member).post("/projects", json={"name": "Apollo"})
    other = await api.as_(globex.member).post("/projects", json={"name": "Apollo"})

    assert problem(409, "project_name_taken") == same
    assert 201 == other.status_code


async def test_rename_leaves_the_rest(api: Api, acme: TenantHandle) -> None:
    """A patch changes the fields that it carries, and updated_at, and nothing else."""
    project = await acme.has(ProjectFactory, name="Apollo", description="To the moon")

    response = await api.as_(acme.member).patch(f"/projects/{project.id}", json={"name": "Gemini"})

    changed = response.json()
    assert (200, "Gemini", "To the moon") == (response.status_code, changed["name"], changed["description"])
    assert changed["created_at"] < changed["updated_at"]


async def test_renaming_to_a_taken_name(api: Api, acme: TenantHandle) -> None:
    """A rename to another project's name is refused, and nothing changes."""
    await acme.has(ProjectFactory, name="Apollo")
    project = await acme.has(ProjectFactory, name="Gemini")

    response = await api.as_(acme.member).patch(f"/projects/{project.id}", json={"name": "Apollo"})
    found = await api.as_(acme.member).get(f"/projects/{project.id}")

    assert problem(409, "project_name_taken") == response
    assert "Gemini" == found.json()["name"]


async def test_archived_project_keeps_its_name(api: Api, acme: TenantHandle) -> None:
    """Renaming an archived project answers 409 project_archived."""
    project = await acme.has(ProjectFactory, archived_at=now())

    response = await api.as_(acme.admin).patch(f"/projects/{project.id}", json={"name": "Gemini"})

    assert problem(409, "project_archived") == response


async def test_archive_and_restore(api: Api, acme: TenantHandle) -> None:
    """Archiving twice keeps the first moment; a restored project can be changed again."""
    project = await acme.has(ProjectFactory)
    member = api.as_(acme.member)

    first = await member.post(f"/projects/{project.id}/archive")
    second = await member.post(f"/projects/{project.id}/archive")
    restored = await member.post(f"/projects/{project.id}/restore")
    renamed = await member.patch(f"/projects/{project.id}", json={"name": "Gemini"})

    assert first.json()["archived_at"] is not None
    assert first.json()["archived_at"] == second.json()["archived_at"]
    assert restored.json()["archived_at"] is None
    assert 200 == renamed.status_code


async def test_delete(api: Api, acme: TenantHandle) -> None:
    """A deleted project is gone, and deleting it again answers like one that never was."""
    project = await acme.has(ProjectFactory)
    member = api.as_(acme.member)

    deleted = await member.delete(f"/projects/{project.id}")
    again = await member.delete(f"/projects/{project.id}")
    never = await member.delete(f"/projects/{uuid4()}")

    assert (204, b"") == (deleted.status_code, deleted.content)
    assert problem(404, "project_not_found") == again
    assert problem(404, "project_not_found") == never


async def test_viewers_only_look(api: Api, acme: TenantHandle) -> None:
    """A viewer's attempt to write is refused, and the answer names the permission."""
    project = await acme.has(ProjectFactory)
    viewer = api.as_(acme.viewer)

    refused = [
        await viewer.post("/projects", json={"name": "Apollo"}),
        await viewer.patch(f"/projects/{project.id}", json={"name": "Apollo"}),
        await viewer.delete(f"/projects/{project.id}"),
        await viewer.post(f"/projects/{project.id}/archive"),
    ]

    assert all(problem(403, "permission_missing", permission="projects:write") == each for each in refused)
