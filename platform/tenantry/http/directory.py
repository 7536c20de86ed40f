"""Which endpoint a path belongs to. What is not found here is Litestar's to find, or to refuse."""

from collections.abc import Callable, Iterable, Iterator, Sequence
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
        self._fixed = dict(fixed_below(self._root, ""))
        """By path: all nodes that no parameter leads to. Most requests are for one of them, or for what is below."""

    def endpoint(self, template: str, method: str) -> Endpoint | None:
        return self._by_template.get((template, method))

    def find(self, scope: Scope) -> Found | None:
        """Only a path exactly as the route spells it; its parameters are parsed."""
        path = scope["path"]
        values: Sequence[str] = ()
        node = self._fixed.get(path)
        if node is None:
            before, _, last = path.rpartition("/")
            if (above := self._fixed.get(before)) is None:
                node, values = self._walk(path)
            elif last:
                node, values = above.parameter, (last,)
        found = node.endpoints.get(str(scope.get("method"))) if node is not None else None
        if found is None or scope.get("root_path") or not names_a_host(scope):
            return None
        endpoint, definitions = found
        given: dict[str, Any] = {}
        try:
            for (name, parse), value in zip(definitions, values, strict=True):
                given[name] = parse(value)
        except (ValueError, ValidationError):
            return None
        return endpoint, given

    def _walk(self, path: str) -> tuple[Node | None, list[str]]:
        """To where a path leads that has a parameter in the middle, and the values on the way."""
        node = self._root
        values: list[str] = []
        for part in path.split("/")[1:]:
            following = node.below.get(part)
            if following is None:
                following = node.parameter
                if following is None or not part:
                    return None, values
                values.append(part)
            node = following
        return node, values


def fixed_below(node: Node, path: str) -> Iterator[tuple[str, Node]]:
    yield path, node
    for part, below in node.below.items():
        yield from fixed_below(below, f"{path}/{part}")


def parser_of(parameter: PathParameterDefinition) -> Callable[[str], Any]:
    """msgspec knows fewer ways to write a UUID than Litestar does, and is faster with them."""
    return partial(convert, type=UUID) if parameter.type is UUID else parameter.parser or str


def names_a_host(scope: Scope) -> bool:
    for name, value in scope["headers"]:
        if name == b"host":
            return is_host(value)
    return True
