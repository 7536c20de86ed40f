"""Many rows at once: all of them or none, in one round trip, and what is wrong with each."""

from collections.abc import Sequence
from typing import Annotated, Any, Generic, TypeVar
from uuid import UUID

import msgspec
from msgspec import Meta
from sqlalchemy import ARRAY, Table, UniqueConstraint, Uuid, any_, bindparam, delete
from sqlalchemy.dialects.postgresql import insert

from tenantry.db.session import UnitOfWork
from tenantry.errors import AppError, Conflict, NotFound

__all__ = ("Bulk", "BulkIds", "insert_all", "remove_all")

MOST_ITEMS = 1000
T = TypeVar("T")


class Bulk(msgspec.Struct, Generic[T], forbid_unknown_fields=True):
    """All of them, or none."""

    items: Annotated[list[T], Meta(min_length=1, max_length=MOST_ITEMS)]


class BulkIds(msgspec.Struct, forbid_unknown_fields=True):
    """All of them, or none."""

    ids: Annotated[list[UUID], Meta(min_length=1, max_length=MOST_ITEMS)]


async def insert_all(unit_of_work: UnitOfWork, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    """One statement. What is there already is left out of it, which tells all of those at once.

    Raises:
        AppError: the one of the constraint that some rows break; `errors` has the place of each.
    """
    statement: Any = insert(table).on_conflict_do_nothing().returning(table.c.id)
    added = {row.id for row in await unit_of_work.rows(statement, rows)}  # type: ignore[arg-type]  # of many rows at once
    if len(added) == len(rows):
        return
    error, field = _conflict(table)
    pointers = [f"/items/{number}{field}" for number, row in enumerate(rows) if row["id"] not in added]
    raise error(errors=[{"detail": f"{error.title}.", "pointer": pointer} for pointer in pointers])


async def remove_all(unit_of_work: UnitOfWork, table: Table, ids: Sequence[UUID], not_found: type[NotFound]) -> None:
    """One statement; an id that is named twice is deleted once.

    Raises:
        NotFound: `errors` has the place of each that is not there.
    """
    named = table.c.id == any_(bindparam("ids", type_=ARRAY(Uuid())))
    removed = {
        row.id for row in await unit_of_work.rows(delete(table).where(named).returning(table.c.id), {"ids": ids})
    }
    if missing := [number for number, id in enumerate(ids) if id not in removed]:
        raise not_found(errors=[{"detail": f"{not_found.title}.", "pointer": f"/ids/{number}"} for number in missing])


def _conflict(table: Table) -> tuple[type[AppError], str]:
    """What a row that is left out means, and the field that it means; of several constraints nobody could say which."""
    unique = [each for each in table.constraints if isinstance(each, UniqueConstraint)]
    if len(unique) != 1:
        return Conflict, ""
    (field,) = [column.name for column in unique[0].columns if column.name != "tenant_id"][:1] or [""]
    return AppError.by_constraint.get(str(unique[0].name), Conflict), f"/{field}"
