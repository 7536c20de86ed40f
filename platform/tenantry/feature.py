"""A vertical slice, and how the application finds all of them."""

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType
from typing import Any

from litestar import Controller, Router
from litestar.config.app import AppConfig
from litestar.di import Provide
from litestar.exceptions import ImproperlyConfiguredException
from litestar.plugins import InitPlugin

from tenantry.http.page import page_request
from tenantry.inject import provider

__all__ = ("API_PREFIX", "Feature", "discover", "slice_folders", "slice_modules")

API_PREFIX = "/api/v1"


class Feature(InitPlugin):
    """What a slice's `plugin.py` declares.

    `provides` maps a parameter name of its handlers to what makes it: a repository or a service class,
    whose own constructor parameters are provided in turn.

    `versions={2: [ProjectControllerV2]}` serves the routes of that controller at `/api/v2`, beside those of the same
    path at `/api/v1`. All other routes have no second version.
    """

    def __init__(
        self,
        name: str,
        *,
        controllers: Sequence[type[Controller]],
        provides: dict[str, type[Any]] | None = None,
        prefix: str = API_PREFIX,
        versions: Mapping[int, Sequence[type[Controller]]] | None = None,
    ) -> None:
        self.name = name
        self.provides = provides or {}
        self.controllers = {prefix: controllers}
        for version, controllers_of_it in (versions or {}).items():
            if version < 2 or prefix != API_PREFIX:
                raise ImproperlyConfiguredException(f"{name}: version {version} of what stands at {prefix or '/'}")
            self.controllers[f"/api/v{version}"] = controllers_of_it

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        dependencies = {
            name: Provide(provider(made_by), sync_to_thread=False) for name, made_by in self.provides.items()
        }
        for path, controllers in self.controllers.items():
            app_config.route_handlers.append(
                Router(
                    path=path,
                    route_handlers=list(controllers),
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
