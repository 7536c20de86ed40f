"""A vertical slice, and how the application finds all of them."""

from collections.abc import Callable, Sequence
from importlib import import_module
from inspect import Parameter, Signature
from pkgutil import iter_modules
from types import ModuleType
from typing import Any, get_type_hints

from litestar import Controller, Router
from litestar.config.app import AppConfig
from litestar.di import NamedDependency, Provide
from litestar.plugins import InitPlugin

from tenantry.http.page import page_request

__all__ = ("API_PREFIX", "Feature", "discover", "slice_modules")

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


def provider(made_by: type[Any]) -> Callable[..., Any]:
    """A function that makes one, so that repositories and services need not know of Litestar's injection."""
    hints = {name: hint for name, hint in get_type_hints(made_by.__init__).items() if name != "return"}

    def provide(**dependencies: Any) -> Any:
        return made_by(**dependencies)

    annotations: dict[str, Any] = {}
    for name, hint in hints.items():
        annotations[name] = NamedDependency[hint]  # type: ignore[valid-type, misc]  # made at run time
    provide.__annotations__ = {**annotations, "return": made_by}
    provide.__signature__ = Signature(  # type: ignore[attr-defined]  # functions take it, their type does not know
        [Parameter(name, Parameter.KEYWORD_ONLY, annotation=hint) for name, hint in annotations.items()],
        return_annotation=made_by,
    )
    return provide


def discover(package: str) -> list[Feature]:
    """The `feature` of every `<package>.<slice>.plugin`, in alphabetical order."""
    return [module.feature for module in slice_modules(package, "plugin")]


def slice_modules(package: str, name: str) -> list[ModuleType]:
    """The module `name` of every slice that has one."""
    found = import_module(package)
    slices = sorted(info.name for info in iter_modules(found.__path__) if info.ispkg)
    return [
        import_module(f"{package}.{slice_}.{name}")
        for slice_ in slices
        if any(info.name == name for info in iter_modules(import_module(f"{package}.{slice_}").__path__))
    ]
