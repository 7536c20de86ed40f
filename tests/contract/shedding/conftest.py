"""A service whose requests last as long as the tests want."""

import asyncio
from collections.abc import AsyncIterator
from importlib import import_module
from typing import Any

import msgspec
import pytest
from litestar import Litestar

from tenantry.config import Settings
from tenantry.limits import load
from tests.contract.shedding.heads import BUSY, LONG
from tests.contract.sockets import listening, opened
from tests.faults.planted import Served, package_of, serving

PACKAGE = "planted_load"
PLUGIN = """
import asyncio

from litestar import Controller, get
from litestar.params import FromPath

from tenantry.feature import Feature
from tenantry.http.policy import public

RUNS, GATE = asyncio.Event(), asyncio.Event()
SEEN = []


class WaitingController(Controller):
    path = "/waiting"

    @get("/long", status_code=204, opt=public("a test"))
    async def long(self) -> None:
        RUNS.set()
        await GATE.wait()

    @get("/short", status_code=204, opt=public("a test"))
    async def short(self) -> None:
        return None

    @get("/number/{number:int}", status_code=204, opt=public("a test"))
    async def number(self, number: FromPath[int]) -> None:
        SEEN.append(number)

    @get("/health", status_code=204, opt=public("a test", vital=True))
    async def health(self) -> None:
        return None


feature = Feature("planted", controllers=[WaitingController])
"""


package = package_of(PACKAGE, PLUGIN)


@pytest.fixture
async def served(app: Litestar, settings: Settings, package: str) -> AsyncIterator[Served]:
    """One request at a time."""
    async with serving(msgspec.structs.replace(settings, requests_at_once=1), features=package) as served:
        yield served


@pytest.fixture
async def roomy(app: Litestar, settings: Settings, package: str) -> AsyncIterator[Served]:
    """One request at a time as long as the event loop is busy, and eight requests of which the others wait."""
    async with serving(msgspec.structs.replace(settings, requests_at_once=8), features=package) as served:
        yield served


@pytest.fixture
def planted(package: str) -> Any:
    module: Any = import_module(f"{PACKAGE}.planted.plugin")
    module.RUNS, module.GATE = asyncio.Event(), asyncio.Event()
    module.SEEN = []
    return module


@pytest.fixture
async def busy(roomy: Served, planted: Any, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
    """The port of a service whose one request runs until the gate opens."""
    monkeypatch.setattr(load, "LAG_SECONDS", BUSY)
    async with listening(roomy.app) as port, opened(port) as (_, writer):
        writer.write(LONG)
        await planted.RUNS.wait()
        yield port
        planted.GATE.set()
