"""A vertical slice, and how the application finds all of them."""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType
from typing import Any

from litestar import Controller, Router
from litestar.config.app import AppConfig
from litestar.di import Provide
from litestar.plugins import InitPlugin

from tenantry.http.page import page_request
from tenantry.inject import provider

__all__ = ("API_PREFIX", "Feature", "discover", "slice_folders", "slice_modules")

API_PREFIX = "/api/v1"


class Feature(InitPlugin):
    """What a slice's `plugin.py` declares.

    `provides` maps a parameter name of its handlers to what makes it: a repository or a service class,
    whose own constructor parameters are provided in turn.
    """

    def __init__(
        self,
        name: str,
        *,
        controllers: Sequence[type[Controller]],
        provides: dict[str, type[Any]] | None = None,
        prefix: str = API_PREFIX,
    ) -> None:
        self.name = name
        self.controllers = controllers
        self.provides = provides or {}
        self.prefix = prefix

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        dependencies = {
            name: Provide(provider(made_by), sync_to_thread=False) for name, made_by in self.provides.items()
        }
        app_config.route_handlers.append(
            Router(
                path=self.prefix,
                route_handlers=list(self.controllers),
                tags=[self.name],
                dependencies={**dependencies, "page": Provide(page_request, sync_to_thread=False)},
            )
        )
        return app_config


def discover(package: str) -> list[Feature]:
    """The `feature` of every `<package>.<slice>.plugin`, in alphabetical order."""
    return [module.feature for module in slice_modules(package, "plugin")]


def slice_folders(package: str, name: str) -> list[Path]:
    """The folder `name` of every slice that has one; what lies in it is no Python."""
    return [folder for path in import_module(package).__path__ for folder in sorted(Path(path).glob(f"*/{name}"))]


def slice_modules(package: str, name: str) -> list[ModuleType]:
    """The module `name` of every slice that has one."""
    found = import_module(package)
    slices = sorted(info.name for info in iter_modules(found.__path__) if info.ispkg)
    return [
        import_module(f"{package}.{slice_}.{name}")
        for slice_ in slices
        if any(info.name == name for info in iter_modules(import_module(f"{package}.{slice_}").__path__))
    ]
