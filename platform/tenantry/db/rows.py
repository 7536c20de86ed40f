"""Rows as objects without a session: what a rule changes in one becomes one UPDATE, and no answer is waited for."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

from advanced_alchemy.types import DateTimeUTC
from sqlalchemy import (
    Boolean,
    Delete,
    Insert,
    Integer,
    LargeBinary,
    Select,
    Table,
    Text,
    Update,
    Uuid,
    bindparam,
    cast,
    column,
    delete,
    insert,
    inspect,
    select,
    update,
)
from sqlalchemy.orm import Mapper

from tenantry.db.base import Base
from tenantry.db.lane.statement import constant

__all__ = ("Rows",)

RowT = TypeVar("RowT", bound=Base)
ECHOED_TYPES = (Boolean, DateTimeUTC, Integer, LargeBinary, Text, Uuid)
"""Types whose values come back from the database as they were sent."""
VERSION = "version"


class Rows(Generic[RowT]):
    """The constant statements of one mapped class, and its objects as values."""

    def __init__(self, row_type: type[RowT]) -> None:
        mapper: Mapper[RowT] = inspect(row_type)
        self.table: Table = row_type.metadata.tables[row_type.__tablename__]
        self._manager = mapper.class_manager
        self._columns = {each.key: each.columns[0] for each in mapper.column_attrs if not each.deferred}
        self._parameters = {key: f"new_{key}" for key in self._columns}
        self._insertable = [(key, self._parameters[key], column_) for key, column_ in self._columns.items()]
        self._insertions: dict[Any, Insert] = {}
        self._changes: dict[tuple[str, ...], Update] = {}
        self._echoed: dict[tuple[str, ...], bool] = {}
        self.stand_alone = not mapper.relationships
        """Rules of such a row can see nothing but the row."""
        # PostgreSQL gives a row another `xmin` with every change.
        self._version = cast(column("xmin", _selectable=self.table), Text)
        chosen = select(self._version, *self._columns.values())
        self.versioned: Select[Any] = constant(chosen.where(self._columns["id"] == bindparam("id")))
        self.locked: Select[Any] = constant(self.versioned.with_for_update())
        self._unchanged = (self._columns["id"] == bindparam("old_id"), self._version == bindparam("old_version"))
        self.removal: Delete = constant(delete(self.table).where(*self._unchanged))
        """Deletes one row, if it still is in the version that was read."""

    def read(self, version: str, *values: Any) -> tuple[str, RowT]:
        """A row of `versioned`, made as SQLAlchemy makes those that it loads: nobody is told of each value."""
        row: RowT = self._manager.new_instance()
        vars(row).update(zip(self._columns, values, strict=True))
        return version, row

    def values(self, row: RowT) -> dict[str, Any]:
        held = vars(row)
        return {key: held[key] for key in self._columns}

    def changes(self, row: RowT, before: Mapping[str, Any]) -> dict[str, Any]:
        """The parameters of `change`: what differs from before, and what changes with every change."""
        changed = [key for key, value in before.items() if getattr(row, key) != value]
        if changed:
            for key, column_ in self._columns.items():
                if column_.onupdate is not None and key not in changed:
                    setattr(row, key, before[key] + 1 if key == VERSION else _made(column_.onupdate))
                    changed.append(key)
        return {self._parameters[key]: getattr(row, key) for key in changed}

    def change(self, parameters: tuple[str, ...]) -> Update:
        """Changes one row, if it still is in the version that was read."""
        if parameters not in self._changes:
            changed = update(self.table).where(*self._unchanged).values(self._assigned(parameters))
            self._changes[parameters] = constant(changed)
        return self._changes[parameters]

    def complete(self, row: RowT) -> dict[str, Any]:
        """Give it the defaults that are made here, not those that the database makes; the parameters of `insertion`."""
        held, parameters = vars(row), {}
        for key, name, column_ in self._insertable:
            if key in held:
                value = held[key]
                if isinstance(value, datetime) and value.tzinfo is not UTC:
                    held[key] = value = value.astimezone(UTC)
            elif (default := column_.default) is not None:
                held[key] = value = default.arg(None) if default.is_callable else default.arg
            elif column_.server_default is None:
                held[key] = value = None
            else:
                continue
            parameters[name] = value
        return parameters

    def complete_all(self, rows: Iterable[RowT]) -> list[dict[str, Any]]:
        """As `complete`, by the names of columns."""
        names = {parameter: column_.name for _, parameter, column_ in self._insertable}
        return [{names[parameter]: value for parameter, value in self.complete(row).items()} for row in rows]

    def insertion(self, parameters: tuple[str, ...], returning: tuple[Any, ...] = ()) -> Insert:
        key = parameters, returning
        if key not in self._insertions:
            plain = insert(self.table).values(self._assigned(parameters))
            self._insertions[key] = constant(plain.returning(*returning) if returning else plain)
        return self._insertions[key]

    def echoes(self, fields: tuple[str, ...]) -> bool:
        """Whether these fields of a complete row are what the database would answer."""
        if fields not in self._echoed:
            self._echoed[fields] = all(
                field in self._columns
                and self._columns[field].server_default is None
                and isinstance(self._columns[field].type, ECHOED_TYPES)
                for field in fields
            )
        return self._echoed[fields]

    def _assigned(self, parameters: tuple[str, ...]) -> dict[str, Any]:
        columns = {self._parameters[key]: column_ for key, column_ in self._columns.items()}
        return {columns[name].name: bindparam(name, type_=columns[name].type) for name in parameters}


def _made(default: Any) -> Any:
    return default.arg(None) if default.is_callable else default.arg
