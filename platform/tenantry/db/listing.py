"""How a list can be asked: what it may be sorted by, filtered by and searched in, declared once for each repository.

    listing = Listing(
        sort=("created_at", "name"),
        filters={"id": ANY_OF, "name": TEXT, "created_at": SPAN, "archived": flag(ProjectRow.archived_at.is_not(None))},
        search=words(ProjectRow.search),
    )

`?name=Apollo`, `?name[contains]=apo`, `?id[in]=…,…`, `?created_at[gte]=…`: equality goes without saying, every other
operator stands in brackets. What is not declared here does not exist.
"""

import operator
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from types import MappingProxyType, NoneType, UnionType
from typing import Annotated, Any, NamedTuple, Union, get_args, get_origin, get_type_hints

import msgspec
from sqlalchemy import ARRAY, ColumnElement, any_, bindparam, func, literal_column, or_

__all__ = (
    "ANY_OF",
    "EXACT",
    "SPAN",
    "TEXT",
    "Condition",
    "Filter",
    "Listing",
    "Parameter",
    "flag",
    "parts",
    "value_of",
    "words",
)

Column = Any
"""A mapped attribute or an expression; SQLAlchemy has no common type for them."""
SIMPLE: ColumnElement[str] = literal_column("'simple'")
"""The dictionary that only makes words small, as `searchable` does."""
LONGEST_TEXT = 200
MOST_VALUES = 100


class Operator(NamedTuple):
    suffix: str
    """What follows the field's name in a query."""
    compare: Callable[[Column, Any], "ColumnElement[bool]"]
    says: str
    most: int = 1
    """Values that it takes."""

    @property
    def takes_many(self) -> bool:
        return self.most > 1


EQUAL = Operator("", operator.eq, "Exactly this")
IN = Operator(
    "[in]",
    lambda column, values: column == any_(bindparam(None, values, type_=ARRAY(column.type))),
    "One of these, with commas between them",
    MOST_VALUES,
)
CONTAINS = Operator(
    "[contains]", lambda column, part: column.icontains(part, autoescape=True), "Contains this, in any case"
)
COMPARISONS = (
    Operator("[gt]", operator.gt, "Greater than this"),
    Operator("[gte]", operator.ge, "This or greater"),
    Operator("[lt]", operator.lt, "Less than this"),
    Operator("[lte]", operator.le, "This or less"),
)


class Filter(NamedTuple):
    operators: tuple[Operator, ...]
    column: Column = None
    """Where it is not the list's own of that name."""
    says: str = ""

    def of(self, column: Column, says: str = "") -> "Filter":
        return self._replace(column=column, says=says)


EXACT, ANY_OF = Filter((EQUAL,)), Filter((EQUAL, IN))
TEXT, SPAN = Filter((EQUAL, CONTAINS)), Filter(COMPARISONS)


def flag(condition: "ColumnElement[bool]", says: str = "") -> Filter:
    """A filter by what is true or false of a row."""
    return EXACT.of(condition, says)


Search = Callable[[str], "ColumnElement[bool]"]


def parts(*columns: Column) -> Search:
    """Rows of which one of these contains the text, in any case."""

    def condition(text: str) -> "ColumnElement[bool]":
        """A part of the text, in any case"""
        return or_(*(column.icontains(text, autoescape=True) for column in columns))

    return condition


def words(document: Column) -> Search:
    """Rows that have all the words, of which each may be the beginning of a longer one."""

    def condition(text: str) -> "ColumnElement[bool]":
        """Words, all of which must be there; each may be the beginning of a longer one"""
        wanted = " & ".join(f"'{word}':*" for word in re.findall(r"\w+", text))
        return document.bool_op("@@")(func.to_tsquery(SIMPLE, wanted))  # type: ignore[no-any-return]  # of an untyped column

    return condition


class Condition(NamedTuple):
    """One that a query asked for; `value` has the type of its column, or is a list of such values."""

    parameter: str
    value: Any


class Parameter(NamedTuple):
    """A query parameter of a list."""

    type: Any
    """Of one value, as msgspec decodes it."""
    operator: Operator
    column: Column
    says: str


class Listing:
    def __init__(
        self,
        *,
        sort: tuple[str, ...] = ("created_at",),
        filters: Mapping[str, Filter] = MappingProxyType({}),
        search: Search | None = None,
    ) -> None:
        """`sort` names fields of the view that are never null; the first is the default, newest or greatest first."""
        self.sort, self.filters, self.search = sort, filters, search
        self.parameters: dict[str, Parameter] = {}

    def bound_to(self, row: Any, view: Any, columns: Mapping[str, Any]) -> "Listing":
        """The same for one repository."""
        bound = Listing(sort=self.sort, filters=self.filters, search=self.search)
        hints = get_type_hints(view, include_extras=True)
        for name, declared in self.filters.items():
            column = declared.column
            if column is None:
                column = columns[name] if name in columns else getattr(row, name)
            type_ = _value_type(hints.get(name, column.type.python_type))
            for each in declared.operators:
                bound.parameters[name + each.suffix] = Parameter(type_, each, column, declared.says)
        return bound

    def condition(self, asked: Condition) -> "ColumnElement[bool]":
        parameter = self.parameters[asked.parameter]
        return parameter.operator.compare(parameter.column, asked.value)


def value_of(parameter: Parameter, text: str) -> Any:
    """
    Raises:
        ValueError: the text is not a value for this parameter; the message says why.
    """
    if not parameter.operator.takes_many:
        return _one(parameter.type, text)
    found = text.split(",")
    if len(found) > MOST_VALUES:
        raise ValueError(f"Expected at most {MOST_VALUES} values")
    return [_one(parameter.type, each) for each in found]


def _one(type_: Any, text: str) -> Any:
    value = msgspec.convert(text, type_, strict=False)
    return value.astimezone(UTC) if isinstance(value, datetime) else value


def _value_type(hint: Any) -> Any:
    """Without null, with bounds: a date needs its time zone, a text has an end."""
    if get_origin(hint) in (UnionType, Union):
        (hint,) = (each for each in get_args(hint) if each is not NoneType)
    if hint is str:
        return Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_TEXT)]
    if hint is datetime:
        return Annotated[datetime, msgspec.Meta(tz=True)]
    return hint
