"""Pages by keyset: a cursor says where the last page ended, so depth costs nothing."""

import base64
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType
from sqlalchemy import Integer, Select, and_, bindparam, or_

from tenantry.errors import BadRequest

__all__ = ("Keyset", "Page", "PageRequest", "keyset")

T = TypeVar("T")


class InvalidCursor(BadRequest):
    code = "invalid_cursor"
    title = "The cursor is not one that this list gave for this order"


class InvalidSort(BadRequest):
    code = "invalid_sort"
    title = "The list cannot be sorted like this"


class Page(msgspec.Struct, Generic[T]):
    items: list[T]
    next_cursor: str | None
    """Give it as `cursor` to get what follows; null on the last page."""
    total: int | UnsetType = UNSET


class PageRequest(msgspec.Struct, frozen=True):
    limit: int
    cursor: str | None
    sort: str | None
    include_total: bool


class Keyset:
    """An order that ends in the id, and where in it a page begins."""

    def __init__(self, row: type[Any], field: str, descending: bool, request: PageRequest) -> None:
        self.row, self.field, self.descending, self.request = row, field, descending, request
        self.column = getattr(row, field)
        self.position = self._position(request.cursor) if request.cursor else None

    @property
    def shape(self) -> tuple[str, bool, bool]:
        """What `statement` depends on, but for its values."""
        return self.field, self.descending, self.position is not None

    @property
    def values(self) -> dict[str, Any]:
        """Of the parameters of `statement`: one row more than the page, to know whether another follows."""
        limit = {"limit": self.request.limit + 1}
        return limit | dict(zip(("value", "id"), self.position, strict=True)) if self.position else limit

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

    def cursor_after(self, item: Any) -> str:
        position = [self._order, getattr(item, self.field), item.id]
        return base64.urlsafe_b64encode(msgspec.json.encode(position)).decode().rstrip("=")

    @property
    def _order(self) -> str:
        return f"-{self.field}" if self.descending else self.field

    def _position(self, cursor: str) -> tuple[Any, UUID]:
        try:
            raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
            order, value, id = msgspec.json.decode(raw, type=tuple[str, Any, UUID])
            if order != self._order:
                raise InvalidCursor
            position = msgspec.convert(value, self.column.type.python_type)
            if isinstance(position, datetime):
                if position.tzinfo is None:
                    raise InvalidCursor
                position = position.astimezone(UTC)
            return position, id
        except (ValueError, OverflowError, msgspec.MsgspecError) as error:
            raise InvalidCursor from error


def keyset(row: type[Any], sortable: tuple[str, ...], request: PageRequest) -> Keyset:
    asked = request.sort or f"-{sortable[0]}"
    field = asked.removeprefix("-")
    if field not in sortable:
        raise InvalidSort(f"Sort by one of: {', '.join(sortable)}; with `-` before it for descending.")
    return Keyset(row, field, asked.startswith("-"), request)
