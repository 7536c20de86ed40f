"""A slice that counts in the descriptions of projects, with rules over one row and over two."""

import httpx

from features.projects.models import ProjectRow
from features.projects.tests.factories import ProjectFactory
from tenantry.testing import Api, TenantHandle

__all__ = ("PLUGIN", "counter", "found", "outcome")

# RUNS has an entry for each time that a handler has begun.
PLUGIN = """
import asyncio
from uuid import UUID

from litestar import Controller, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from features.projects.dtos import Project
from features.projects.permissions import WRITE
from features.projects.repository import ProjectRepository
from tenantry.config import Settings
from tenantry.feature import Feature
from tenantry.http.policy import allow

Projects = NamedDependency[ProjectRepository]
MEETING = asyncio.Barrier(2)
RUNS = []


def adding(number):
    def rule(project):
        project.description = str(int(project.description) + number)

    return rule


async def lock_both(projects, first, second):
    RUNS.append((first, second))
    row = await projects.entity(first)
    if RUNS.count((first, second)) == 1:
        await MEETING.wait()
    for each in (row, await projects.entity(second)):
        adding(1)(each)
        await projects.save(each)


class CounterController(Controller):
    path = "/counters"

    @post("/{counter:uuid}/count", opt=allow(WRITE))
    async def count(self, counter: FromPath[UUID], projects: Projects) -> Project:
        return await projects.alter(counter, adding(1))

    @post("/{source:uuid}/move/{target:uuid}", opt=allow(WRITE))
    async def move(self, source: FromPath[UUID], target: FromPath[UUID], projects: Projects) -> None:
        for counter, row in [(source, await projects.entity(source)), (target, await projects.entity(target))]:
            adding(1 if counter == target else -1)(row)
            await projects.save(row)

    @post("/{source:uuid}/alter/{target:uuid}", opt=allow(WRITE))
    async def alter(self, source: FromPath[UUID], target: FromPath[UUID], projects: Projects) -> None:
        await projects.alter(source, adding(-1))
        await projects.alter(target, adding(1))

    @post("/{first:uuid}/lock/{second:uuid}", opt=allow(WRITE))
    async def lock(self, first: FromPath[UUID], second: FromPath[UUID], projects: Projects) -> None:
        await lock_both(projects, first, second)

    @post("/{first:uuid}/lock-once/{second:uuid}", opt=allow(WRITE))
    async def lock_once(
        self, first: FromPath[UUID], second: FromPath[UUID], projects: Projects, settings: NamedDependency[Settings]
    ) -> None:
        await lock_both(projects, first, second)


feature = Feature("counters", controllers=[CounterController], provides={"projects": ProjectRepository})
"""


async def counter(tenant: TenantHandle, name: str, value: int = 0) -> ProjectRow:
    row: ProjectRow = await tenant.has(ProjectFactory, name=name, description=str(value))
    return row


async def found(api: Api, row: ProjectRow, field: str = "description") -> object:
    return (await api.get(f"/projects/{row.id}")).json()[field]


def outcome(response: httpx.Response) -> object:
    return response.status_code if response.is_success else (response.status_code, response.json()["code"])
