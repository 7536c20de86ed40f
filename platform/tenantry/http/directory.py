"""Which endpoint a path belongs to. What is not found here is Litestar's to find, or to refuse."""

from collections.abc import Callable, Iterable
from functools import lru_cache, partial
from typing import Any
from uuid import UUID

from litestar._asgi.utils import is_valid_host
from litestar.routes import HTTPRoute
from litestar.types import Scope
from litestar.types.internal_types import PathParameterDefinition
from msgspec import ValidationError, convert

from tenantry.http.endpoint import Endpoint

__all__ = ("Directory",)

is_host = lru_cache(maxsize=256)(is_valid_host)
Found = tuple[Endpoint, dict[str, Any]]


class Node:
    __slots__ = ("below", "endpoints", "parameter")

    def __init__(self) -> None:
        self.below: dict[str, Node] = {}
        self.parameter: Node | None = None
        self.endpoints: dict[str, tuple[Endpoint, tuple[Any, ...]]] = {}
        """By method; with the definitions of the parameters on the way here."""


class Directory:
    """It knows the paths of all routes, so that none of them is taken for that of another."""

    def __init__(self, routes: Iterable[tuple[HTTPRoute, dict[str, Endpoint]]]) -> None:
        self._root = Node()
        self._by_template: dict[tuple[str, str], Endpoint] = {}
        for route, endpoints in routes:
            self._by_template |= {(route.path_format, method): each for method, each in endpoints.items()}
            node = self._root
            for component in route.path_components:
                if isinstance(component, str):
                    node = node.below.setdefault(component, Node())
                else:
                    node.parameter = node.parameter or Node()
                    node = node.parameter
            definitions = tuple((of.name, parser_of(of)) for of in route.path_parameters.values())
            node.endpoints |= {method: (endpoint, definitions) for method, endpoint in endpoints.items()}

    def endpoint(self, template: str, method: str) -> Endpoint | None:
        return self._by_template.get((template, method))

    def find(self, scope: Scope) -> Found | None:
        """Only a path exactly as the route spells it; its parameters are parsed."""
        node, values = self._root, []
        for part in scope["path"].split("/")[1:]:
            following = node.below.get(part)
            if following is None:
                following = node.parameter
                if following is None or not part:
                    return None
                values.append(part)
            node = following
        found = node.endpoints.get(str(scope.get("method")))
        if found is None or scope.get("root_path") or not names_a_host(scope):
            return None
        endpoint, definitions = found
        try:
            return endpoint, {name: parse(value) for (name, parse), value in zip(definitions, values, strict=True)}
        except (ValueError, ValidationError):
            return None


def parser_of(parameter: PathParameterDefinition) -> Callable[[str], Any]:
    """msgspec knows fewer ways to write a UUID than Litestar does, and is faster with them."""
    return partial(convert, type=UUID) if parameter.type is UUID else parameter.parser or str


def names_a_host(scope: Scope) -> bool:
    for name, value in scope["headers"]:
        if name == b"host":
            return is_host(value)
    return True
