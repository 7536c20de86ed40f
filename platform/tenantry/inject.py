"""Dependency injection by parameter name, for objects and classes that know nothing of it."""

from collections.abc import Callable
from inspect import Parameter, Signature
from typing import Any, get_type_hints

from litestar.config.app import AppConfig
from litestar.di import NamedDependency, Provide
from litestar.plugins import InitPlugin

__all__ = ("InjectPlugin", "provided", "provider")


class InjectPlugin(InitPlugin):
    """`InjectPlugin(settings=settings)` gives every handler that names `settings` that object."""

    def __init__(self, **objects: Any) -> None:
        self.objects = objects

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        app_config.dependencies.update({name: provided(value) for name, value in self.objects.items()})
        return app_config


def provided(value: object) -> Provide:
    """Of one object that lives as long as the application."""

    def provide() -> Any:
        return value

    return Provide(provide, sync_to_thread=False)


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
