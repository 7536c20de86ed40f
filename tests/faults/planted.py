"""The service in this process, with other settings or with slices that exist for one proof only."""

import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from litestar import Litestar

from tenantry.app import create_app
from tenantry.config import Settings
from tenantry.db.lane.fast_lane import FastLane
from tenantry.db.plugin import DatabasePlugin
from tenantry.security.plugin import SecurityPlugin
from tenantry.testing import PASSWORD, Api, World, asgi_client

__all__ = ("Served", "package_of", "planted_slice", "serving")


@dataclass(frozen=True)
class Served:
    app: Litestar
    api: Api
    world: World

    @property
    def lane(self) -> FastLane:
        lane = self.app.plugins.get(DatabasePlugin).lane
        assert lane is not None
        return lane


@asynccontextmanager
async def serving(settings: Settings, *, features: str = "features") -> AsyncIterator[Served]:
    """The application with all of its layers. Lifespans must nest: ask for the fixture `app` before."""
    app = create_app(settings, features=features)
    async with app.lifespan(), asgi_client(app) as client:
        security = app.plugins.get(SecurityPlugin)
        world = World(app.state.database, security.tokens, await security.passwords.hash(PASSWORD))
        yield Served(app, Api(client), world)


def package_of(package: str, plugin: str) -> Any:
    """`package = package_of(PACKAGE, PLUGIN)`: a fixture, `planted_slice` for all tests of a module."""

    @pytest.fixture(scope="module")
    def planted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
        with planted_slice(tmp_path_factory.mktemp(package), package, plugin) as planted:
            yield planted

    return planted


@contextmanager
def planted_slice(folder: Path, package: str, plugin: str) -> Iterator[str]:
    """A package of slices, this plugin and that of projects; its name is for `serving`."""
    sources = {"planted": plugin, "projects": "from features.projects.plugin import feature"}
    for slice_, source in {"": "", **sources}.items():
        path = folder / package / slice_
        path.mkdir(parents=True, exist_ok=True)
        (path / "__init__.py").write_text("")
        if source:
            (path / "plugin.py").write_text(source)
    sys.path.insert(0, str(folder))
    yield package
    sys.path.remove(str(folder))
