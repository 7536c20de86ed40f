"""Mapped objects and statements of one unit of work are about the same rows."""

from sqlalchemy import select, update

from features.projects.models import ProjectRow
from features.projects.tests.factories import ProjectFactory
from tenantry.db.base import Base
from tenantry.db.database import Database
from tenantry.testing import TenantHandle


async def test_objects_and_statements_see_each_other(database: Database, acme: TenantHandle) -> None:
    """A statement sees what a rule has changed in an object before, and an object what a statement has changed."""
    project = await acme.has(ProjectFactory)
    projects, chosen = Base.metadata.tables["projects"], select(ProjectRow).where(ProjectRow.id == project.id)
    async with database.transaction() as unit_of_work:
        await unit_of_work.bind_tenant(acme.id)
        (await unit_of_work.entity(chosen)).name = "By a rule"
        seen = await unit_of_work.scalar(select(projects.c.name).where(projects.c.id == project.id))
        await unit_of_work.execute(update(projects).where(projects.c.id == project.id).values(name="By a statement"))
        seen_again = (await unit_of_work.entity(chosen)).name

    assert ("By a rule", "By a statement") == (seen, seen_again)
