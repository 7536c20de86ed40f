"""Which errors a handler can answer with, read from its code: the document names them, and no slice lists them.

What is looked through are the functions that a handler leads to: those it names, and methods of such a name of the
classes that it is given, names, or is given by them; and violations of constraints of the tables that it comes by. That
finds a little more than can happen, and misses what is raised through other libraries.
"""

from collections.abc import Iterator
from functools import cache, partial
from http import HTTPStatus
from inspect import unwrap
from types import CodeType, FunctionType
from typing import Any, get_args, get_type_hints

from tenantry.db.denials import QuotaExceeded
from tenantry.errors import AppError

__all__ = ("Errors", "errors_of")

Errors = frozenset[type[AppError]]
PLATFORM = "tenantry"
OF_SLICE, OF_OTHERS = ("POST", "PATCH", "PUT"), ("DELETE", "PATCH", "PUT")
"""Methods that may violate constraints: of the slice's own tables, or rules of those of others."""
OF_THE_GATE = ("tenantry.http", "tenantry.db.session", "tenantry.db.engine", "tenantry.db.lane", "tenantry.config")
"""Theirs are told of every route, by its policy."""


def errors_of(handler: Any, method: str, status: int) -> Errors:
    """`status` is that of its success."""
    if isinstance(handler, partial):  # of a controller
        handler = handler.func
    slice_ = handler.__module__.rpartition(".")[0]
    reach = Reach(slice_.partition(".")[0])
    reach.enter(handler)
    errors = {error for error in reach.errors if "code" in vars(error) and error.__module__ != AppError.__module__}
    if reach.has_quota and status == HTTPStatus.CREATED:
        errors.add(QuotaExceeded)
    for name, error in AppError.by_constraint.items():
        if any(f"_{table}_" in name for table in reach.tables):
            is_of_slice = error.__module__.startswith(f"{slice_}.")
            if method in OF_SLICE if is_of_slice else method in OF_OTHERS and name.startswith("ck_"):
                errors.add(error)
    return frozenset(errors)


class Reach:
    def __init__(self, package: str) -> None:
        """`package` is that of the slices."""
        self._ours = (f"{package}.", f"{PLATFORM}.")
        self.errors: set[type[AppError]] = set()
        self.tables: set[str] = set()
        self.has_quota = False
        self._classes: dict[type, None] = {}
        self._functions: set[FunctionType] = set()
        self._names: set[str] = set()

    def enter(self, handler: Any) -> None:
        unseen = [handler]
        while unseen:
            for each in unseen:
                self._look_through(each)
            methods = [each for kind in [*self._classes] for each in self._methods(kind)]
            unseen = [each for each in methods if self._function_of(each) not in self._functions | {None}]

    def _look_through(self, given: Any) -> None:
        function = self._function_of(given)
        if function is None or function in self._functions:
            return
        self._functions.add(function)
        names, classes = known_of(function)
        self._names |= names
        for kind in classes:
            self._meet(kind)
        for name in names:
            found = function.__globals__.get(name)
            if isinstance(found, type):
                self._meet(found)
            elif isinstance(found, FunctionType):
                self._look_through(found)

    def _meet(self, kind: type) -> None:
        if issubclass(kind, AppError):
            self.errors.add(kind)
        elif self._is_ours(kind) and kind not in self._classes:
            self._classes[kind] = None
            if isinstance(table := getattr(kind, "__tablename__", None), str):
                self.tables.add(table)
                self.has_quota |= hasattr(kind, "quota")
            self._look_through(kind.__dict__.get("__init__"))
            for other in (*kind.__mro__, *(value for value in vars(kind).values() if isinstance(value, type))):
                if not issubclass(other, AppError):
                    self._meet(other)

    def _methods(self, kind: type) -> Iterator[Any]:
        """Those of a name that was seen, and errors that stand in the class under such a name."""
        for name in self._names & vars(kind).keys():
            found = vars(kind)[name]
            if isinstance(found, type) and issubclass(found, AppError):
                self.errors.add(found)
            yield found

    def _function_of(self, value: Any) -> FunctionType | None:
        """Where it is ours."""
        value = getattr(value, "fget", None) or getattr(value, "__func__", value)
        value = unwrap(value) if callable(value) else value
        return value if isinstance(value, FunctionType) and self._is_ours(value) else None

    def _is_ours(self, value: Any) -> bool:
        module = str(value.__module__)
        return module.startswith(self._ours) and not module.startswith(OF_THE_GATE)


@cache
def known_of(function: FunctionType) -> tuple[frozenset[str], tuple[type, ...]]:
    """All names in its code, and the classes in its annotations."""
    try:
        hints = get_type_hints(function)
    except NameError:  # of imports for the type checker alone
        hints = {}
    classes = dict.fromkeys(kind for hint in hints.values() for kind in classes_in(hint))
    return frozenset(names_in(function.__code__)), tuple(kind for kind in classes if not issubclass(kind, AppError))


def classes_in(annotation: Any) -> Iterator[type]:
    if isinstance(annotation, type):
        yield annotation
    for argument in get_args(annotation):
        yield from classes_in(argument)


def names_in(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from names_in(constant)
