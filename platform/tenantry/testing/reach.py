"""Tests of a slice call no route of another slice that can be deleted: they would fail where it is."""

import re
from collections.abc import Generator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import grimp
import pytest
from litestar import Litestar
from litestar.routes import HTTPRoute

__all__ = ("Call", "calls", "foreign_leaves", "leaf_slices")

_SLICE_OF_TEST = re.compile(r"/features/(?P<slice>\w+)/tests/")


class Call(NamedTuple):
    app: Litestar
    method: str
    path: str


calls: list[Call] = []
"""What the running test, and the set-up that it was first to need, has asked of applications in its own process."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup() -> Generator[None, object, object]:
    calls.clear()
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """A test fails that calls a route of another slice which can be deleted."""
    result = yield
    if foreign := foreign_leaves(item.path):
        pytest.fail(f"no other slice imports the one that answers: {', '.join(foreign)}", pytrace=False)
    return result


@cache
def leaf_slices(package: str = "features") -> list[str]:
    """The slices that no other slice imports, tests included: each can be deleted."""
    graph = grimp.build_graph(package, cache_dir=None)
    slices = {name.rpartition(".")[2]: {name, *graph.find_descendants(name)} for name in graph.find_children(package)}
    return sorted(
        name
        for name, modules in slices.items()
        if all(graph.find_modules_that_directly_import(module) <= modules for module in modules)
    )


def foreign_leaves(test: Path) -> list[str]:
    """`GET /api/v1/members of members` for each route that the running test of a slice must not call."""
    if not (found := _SLICE_OF_TEST.search(test.as_posix())):
        return []
    allowed = {None, found["slice"]}.union(slice_ for slice_ in _slices() if slice_ not in leaf_slices())
    answered = {call: _slice_that_answers(call) for call in calls}
    return sorted(f"{call.method} {call.path} of {by}" for call, by in answered.items() if by not in allowed)


def _slices() -> set[str]:
    return {slice_ for call in calls for _, _, slice_ in _routes(call.app)}


def _slice_that_answers(call: Call) -> str | None:
    for path, method, slice_ in _routes(call.app):
        if method == call.method and path.fullmatch(call.path):
            return slice_
    return None


@cache
def _routes(app: Litestar) -> list[tuple[re.Pattern[str], str, str]]:
    """Path, method and slice; fixed paths first, since the router prefers them."""
    return [
        (re.compile(re.sub(r"\\{[^}]+\\}", "[^/]+", re.escape(route.path_format))), str(method), module.split(".")[1])
        for route in sorted(app.routes, key=lambda route: route.path_format.count("{"))
        if isinstance(route, HTTPRoute)
        for handler in route.route_handlers
        if (module := handler.fn.__module__).startswith("features.")
        for method in handler.http_methods
    ]
