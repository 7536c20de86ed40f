"""Dependency injection by parameter name, for objects and classes that know nothing of it."""

from collections.abc import Callable, Iterable
from inspect import Parameter, Signature, signature
from typing import Any, get_type_hints
from weakref import WeakKeyDictionary

from litestar._kwargs.dependencies import DependencyContainer
from litestar._kwargs.kwargs_model import KwargsModel
from litestar.config.app import AppConfig
from litestar.connection import ASGIConnection
from litestar.di import NamedDependency, Provide
from litestar.plugins import InitPlugin
from litestar.plugins.base import ReceiveRoutePlugin
from litestar.routes import BaseRoute, HTTPRoute

__all__ = ("Arguments", "InjectPlugin", "in_order", "maker_of", "provided", "provider")

Connection = ASGIConnection[Any, Any, Any, Any]
FROM_INSIDE = frozenset({"request", "scope"})
MADE_BY: "WeakKeyDictionary[Callable[..., Any], Callable[..., Any]]" = WeakKeyDictionary()
"""Of functions of `provider`."""


class InjectPlugin(InitPlugin, ReceiveRoutePlugin):
    """`InjectPlugin(settings=settings)` gives every handler that names `settings` that object."""

    def __init__(self, **objects: Any) -> None:
        self.objects = objects

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        app_config.dependencies.update({name: provided(value) for name, value in self.objects.items()})
        return app_config

    def receive_route(self, route: BaseRoute) -> None:
        if isinstance(route, HTTPRoute):
            for method, (handler, model) in route.route_handler_map.items():
                dependencies = [dependency for batch in model.dependency_batches for dependency in batch]
                if all(is_called_at_once(dependency.provide) for dependency in dependencies):
                    arguments = Arguments(model, dependencies)
                    route.route_handler_map[method] = handler, arguments  # type: ignore[assignment]  # has what Litestar asks of a model


class Arguments:
    """The arguments of a handler, in place of Litestar's own model of them.

    Litestar makes dependencies that need not wait for each other in a task for each, and looks whether every argument
    of every provider is of its type: together a quarter of what a list computes. Here they are made one after the
    other in the request's own task; types are checked where an argument comes from outside, and for the handler.
    """

    def __init__(self, model: KwargsModel, dependencies: list[DependencyContainer]) -> None:
        self.model = model
        self.has_kwargs = model.has_kwargs
        self.dependency_batches = ()  # nothing is left for Litestar to make
        self.names = {dependency.key for dependency in dependencies} | FROM_INSIDE
        """Of arguments that do not come from the client."""
        self.steps = [
            (dependency.key, in_order(maker_of(provide), needed), tuple(needed), judge)
            for dependency in dependencies
            for provide in [dependency.provide]
            for needed in [provide.parsed_fn_signature.parameters]
            for judge in [None if self.names.issuperset(needed) else provide.signature_model]
        ]
        """What each is made by and of; where that comes from outside, also the model that judges it."""
        others = model.expected_query_params | model.expected_header_params | model.expected_cookie_params
        are_trusted = all(judge is None for *_, judge in self.steps)
        self.come_from_path = are_trusted and not others and model.expected_reserved_kwargs <= {"scope", "data"}
        """All but the dependencies and the body: then they can be had without Litestar's request."""

    async def to_kwargs(self, connection: Connection) -> dict[str, Any]:
        return self.complete(await self.model.to_kwargs(connection), connection)

    def complete(self, arguments: dict[str, Any], connection: Connection | None = None) -> dict[str, Any]:
        """Add the dependencies; without a connection where all of them come from inside."""
        for name, make, needed, judge in self.steps:
            if judge is None:
                arguments[name] = make(*map(arguments.__getitem__, needed))
            else:
                assert connection is not None
                parsed = judge.parse_values_from_connection_kwargs(connection, arguments)
                arguments[name] = make(*map(parsed.__getitem__, needed))
        return arguments


def in_order(function: Callable[..., Any], names: Iterable[str]) -> Callable[..., Any]:
    """It takes its arguments by their order: a call that names them makes a mapping of them first."""
    taken = [*signature(function, follow_wrapped=False).parameters.values()]
    known = [parameter.name for parameter in taken if parameter.kind is Parameter.POSITIONAL_OR_KEYWORD]
    if known == [*names] and len(known) == len(taken):
        return function
    return lambda *values: function(**dict(zip(names, values, strict=True)))


def maker_of(provide: Provide) -> Callable[..., Any]:
    """Without the function around it that speaks to Litestar, where `provider` has made one."""
    return MADE_BY.get(provide.dependency, provide.dependency)


def is_called_at_once(provide: Provide) -> bool:
    """No coroutine, no generator that is to be closed later, no value that is kept."""
    is_generator = provide.has_sync_generator_dependency or provide.has_async_generator_dependency
    return provide.has_sync_callable and not is_generator and not provide.use_cache


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

    MADE_BY[provide] = made_by

    annotations: dict[str, Any] = {}
    for name, hint in hints.items():
        annotations[name] = NamedDependency[hint]  # type: ignore[valid-type, misc]  # made at run time
    provide.__annotations__ = {**annotations, "return": made_by}
    provide.__signature__ = Signature(  # type: ignore[attr-defined]  # functions take it, their type does not know
        [Parameter(name, Parameter.KEYWORD_ONLY, annotation=hint) for name, hint in annotations.items()],
        return_annotation=made_by,
    )
    return provide
