"""Pages by keyset: a cursor says where a page ended, so depth costs nothing."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType
from sqlalchemy import Integer, Select, and_, bindparam, or_

from tenantry.db.listing import Condition

__all__ = ("Keyset", "Page", "PageRequest", "Position")

T = TypeVar("T")


class Page(msgspec.Struct, Generic[T]):
    items: list[T]
    next_cursor: str | None
    """Give it as `cursor` to get what follows; null on the last page."""
    total: int | UnsetType = UNSET


class Position(msgspec.Struct, array_like=True, frozen=True):
    """Between two items of a list."""

    backwards: bool
    """What is asked for is the page before it, not the one after."""
    value: Any
    """Of the field that the list is sorted by."""
    id: UUID


class PageRequest(msgspec.Struct):
    limit: int
    sort: str
    """A field that the list declares, with `-` before it for descending."""
    seal: Callable[[Position], str]
    """Makes the cursor of a position, for nobody and nothing but this request."""
    position: Position | None = None
    include_total: bool = False
    conditions: tuple[Condition, ...] = ()
    search: str | None = None
    next_cursor: str | None = None
    """Known once the page is; as is `previous_cursor`."""
    previous_cursor: str | None = None

    @property
    def narrows(self) -> bool:
        return bool(self.conditions) or self.search is not None


class Keyset:
    """An order that ends in the id, and where in it a page begins."""

    def __init__(self, row: type[Any], request: PageRequest) -> None:
        self.row, self.request = row, request
        self.field = request.sort.removeprefix("-")
        self.column = getattr(row, self.field)
        self.position = request.position
        self.backwards = self.position is not None and self.position.backwards
        self.descending = request.sort.startswith("-") != self.backwards
        """How the rows are read: towards the beginning of the list it is the other way round."""

    @property
    def shape(self) -> tuple[str, bool, bool]:
        """What `statement` depends on, but for its values."""
        return self.field, self.descending, self.position is not None

    @property
    def values(self) -> dict[str, Any]:
        """Of the parameters of `statement`: one row more than the page, to know whether another follows."""
        limit: dict[str, Any] = {"limit": self.request.limit + 1}
        if self.position is None:
            return limit
        value = msgspec.convert(self.position.value, self.column.type.python_type)
        if isinstance(value, datetime):
            value = value.astimezone(UTC)
        return limit | {"value": value, "id": self.position.id}

    def statement(self, views: "Select[Any]") -> "Select[Any]":
        columns = (self.column, self.row.id)
        ordered = views.order_by(*(column.desc() if self.descending else column.asc() for column in columns))
        if self.position:
            value, id = bindparam("value", type_=self.column.type), bindparam("id", type_=self.row.id.type)
            beyond = self.column < value if self.descending else self.column > value
            id_beyond = self.row.id < id if self.descending else self.row.id > id
            at_or_beyond = self.column <= value if self.descending else self.column >= value
            # The first condition says nothing new: it lets the index find where the page begins.
            ordered = ordered.where(at_or_beyond, or_(beyond, and_(self.column == value, id_beyond)))
        return ordered.limit(bindparam("limit", type_=Integer))

    def page(self, found: list[T]) -> list[T]:
        """The items of `found`, what `statement` selects; the request knows the cursors of its neighbours then."""
        request = self.request
        has_more, items = len(found) > request.limit, found[: request.limit]
        if self.backwards:
            items.reverse()
        if items:
            has_next, has_previous = has_more or self.backwards, has_more if self.backwards else bool(self.position)
            request.next_cursor = self._cursor(items[-1], backwards=False) if has_next else None
            request.previous_cursor = self._cursor(items[0], backwards=True) if has_previous else None
        return items

    def _cursor(self, item: Any, *, backwards: bool) -> str:
        return self.request.seal(Position(backwards, getattr(item, self.field), item.id))
