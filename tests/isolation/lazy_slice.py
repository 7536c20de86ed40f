"""A slice whose handlers wait, fail, or reach out of their transaction, for the proof of lazy authorization."""

from collections.abc import Iterable

__all__ = ("lazy_slice",)

# EFFECTS is what stays of a handler outside of the database. A handler tells that it runs, and waits, where a test
# has set GATE.
PLUGIN = """
import asyncio
from typing import Any

from litestar import Controller, Request, get, post
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.types import Scope

from features.projects.models import ProjectRow
from features.projects.dtos import Project
from features.projects.permissions import READ, WRITE
from features.projects.repository import ProjectRepository
from tenantry.db.database import Database
from tenantry.errors import Conflict, NotFound, Unprocessable
from tenantry.feature import Feature
from tenantry.http.page import lists
from tenantry.http.policy import allow

Projects = NamedDependency[ProjectRepository]
EFFECTS, RUNS = [], asyncio.Event()
GATE = asyncio.Event()
FAULTS = {"404": NotFound, "409": Conflict, "422": Unprocessable, "500": RuntimeError}


class Service:
    def __init__(self, projects: ProjectRepository) -> None:
        self.projects = projects


class Reaching:
    def __init__(self, service: Service, database: Database) -> None:
        self.service = service


async def wait():
    RUNS.set()
    await GATE.wait()


class LazyController(Controller):
    path = "/lazy"

    @post("/fault/{fault:str}", opt=allow(WRITE))
    async def fault(self, fault: FromPath[str], projects: Projects) -> None:
        await projects.add(ProjectRow(name="of a request that fails"))
        raise FAULTS[fault]("a secret")

    @post("/waits", opt=allow(WRITE))
    async def waits(self, projects: Projects) -> Project:
        await wait()
        return await projects.add(ProjectRow(name="late"))

    @post("/reads-and-waits", opt=allow(WRITE))
    async def reads_and_waits(self, projects: Projects) -> Project:
        found = await projects.unit_of_work.rows(projects.views.limit(1))
        await wait()
        return await projects.add(ProjectRow(name="late"))

    @post("/waits-and-is-done", opt=allow(WRITE))
    async def waits_and_is_done(self, projects: Projects) -> str:
        await wait()
        return "a secret"
"""
EFFECT = """
    @get("/effect/{name}", opt=allow(READ){more})
    async def effect_{name}(self, {name}: {type}) -> str:
        EFFECTS.append("{name}")
        return "a secret"
"""
FEATURE = """

feature = Feature("lazy", controllers=[LazyController], provides={
    "projects": ProjectRepository, "service": Service, "reaching": Reaching,
})
"""
TYPES = {
    "request": "Request[Any, Any, Any]",
    "scope": "Scope",
    "state": "State",
    "number": "FromQuery[int] = 7",
}
MORE = {"page": " | lists(ProjectRepository)"}


def lazy_slice(names: Iterable[str]) -> str:
    """The source of its plugin, with a handler for each name that takes an argument of that name."""
    effects = [
        EFFECT.format(name=name, type=TYPES.get(name, "NamedDependency[Any]"), more=MORE.get(name, ""))
        for name in sorted(names)
    ]
    return PLUGIN + "".join(effects) + FEATURE
