"""The thin base of all repositories: rows go out as Structs; an entity only where a rule changes it."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Generic, TypeVar, get_args
from uuid import UUID

import msgspec
from sqlalchemy import Delete, Select, bindparam, delete, func, select

from tenantry.db.base import Base
from tenantry.db.denials import SerializationFailure
from tenantry.db.lane.statement import constant
from tenantry.db.page import Keyset, Page, PageRequest, keyset
from tenantry.db.rows import Rows
from tenantry.db.session import UnitOfWork
from tenantry.errors import NotFound

__all__ = ("Repository",)

RowT = TypeVar("RowT", bound=Base)
ViewT = TypeVar("ViewT", bound=msgspec.Struct)


class Repository(Generic[RowT, ViewT]):
    """`class ProjectRepository(Repository[ProjectRow, Project])`.

    The fields of the view are selected by name from the row, in their order, and nothing else is.
    """

    sortable: ClassVar[tuple[str, ...]] = ("created_at",)
    """Fields of the view, never null, that a list may be sorted by; the first is the default, newest first."""
    not_found: ClassVar[type[NotFound]] = NotFound

    columns: ClassVar[Mapping[str, Any]] = {}
    """Where fields of the view come from that are not the row's own; add the join to `views`."""

    row_type: ClassVar[type[Any]]
    view_type: ClassVar[type[Any]]
    views: ClassVar["Select[Any]"]
    """The statement that selects the view of every row; add `where` to it."""

    by_id: ClassVar["Select[Any]"]
    removal: ClassVar[Delete]
    pages: ClassVar[dict[Any, "Select[Any]"]]
    stored: ClassVar[Rows[Any]]

    def __init_subclass__(cls) -> None:
        cls.row_type, cls.view_type = get_args(cls.__orig_bases__[0])  # type: ignore[attr-defined]  # set on every generic subclass
        cls.views = select(
            *(
                cls.columns[field] if field in cls.columns else getattr(cls.row_type, field)
                for field in cls.view_type.__struct_fields__
            )
        )
        cls.stored = Rows(cls.row_type)
        cls.by_id = constant(cls.views.where(cls.row_type.id == bindparam("id")))
        cls.removal = constant(delete(cls.row_type).where(cls.row_type.id == bindparam("id")))
        cls.pages = {}

    def __init__(self, unit_of_work: UnitOfWork) -> None:
        self.unit_of_work = unit_of_work

    async def get(self, id: UUID) -> ViewT:
        found: list[ViewT] = await self.unit_of_work.structs(self.by_id, self.view_type, {"id": id})
        if not found:
            raise self.not_found
        return found[0]

    async def entity(self, id: UUID) -> RowT:
        """The row as an object whose rules may change it; locked until the transaction ends."""
        statement = select(self.row_type).where(self.row_type.id == id).with_for_update()
        entity: RowT | None = await self.unit_of_work.entity(statement)
        if entity is None:
            raise self.not_found
        return entity

    async def alter(self, id: UUID, rule: Callable[[RowT], None]) -> ViewT:
        """Apply a rule of the model to one row."""
        rows = self.stored
        if not rows.stand_alone:
            entity = await self.entity(id)
            rule(entity)
            return await self.save(entity)
        chosen = rows.versioned if self.unit_of_work.is_optimistic else rows.locked
        found = await self.unit_of_work.structs(chosen, rows.read, {"id": id}, asks=False)
        if not found:
            raise self.not_found
        version, entity = found[0]
        before = rows.values(entity)
        rule(entity)
        if changes := rows.changes(entity, before):
            values = {"old_id": id, "old_version": version, **changes}
            await self.unit_of_work.write(rows.change(tuple(changes)), values, otherwise=SerializationFailure)
        return self._view_of(entity)

    async def save(self, entity: RowT) -> ViewT:
        """Write what rules changed in `entity`."""
        await self.unit_of_work.flush()
        return self._view_of(entity)

    async def add(self, row: RowT) -> ViewT:
        rows = self.stored
        values = rows.complete(row)
        if rows.echoes(self.view_type.__struct_fields__):
            await self.unit_of_work.write(rows.insertion(tuple(values)), values)
            held = vars(row)
            return self.view([held[field] for field in self.view_type.__struct_fields__])
        returning = rows.insertion(tuple(values), tuple(self.views.selected_columns))
        added: list[ViewT] = await self.unit_of_work.structs(returning, self.view_type, values)
        return added[0]

    async def remove(self, id: UUID) -> None:
        await self.unit_of_work.write(self.removal, {"id": id}, otherwise=self.not_found)

    async def page(self, views: "Select[Any]", request: PageRequest) -> Page[ViewT]:
        """One page of `views` in the order that was asked for; its cost does not grow with its depth."""
        order = keyset(self.row_type, self.sortable, request)
        statement = self._whole_list(order) if views is self.views else order.statement(views)
        items: list[ViewT] = await self.unit_of_work.structs(statement, self.view_type, order.values)
        following = items[request.limit :]
        del items[request.limit :]
        return Page(
            items=items,
            next_cursor=order.cursor_after(items[-1]) if following else None,
            total=await self._count(views) if request.include_total else msgspec.UNSET,
        )

    def view(self, values: Any) -> ViewT:
        view: ViewT = self.view_type(*values)
        return view

    @classmethod
    def _whole_list(cls, order: Keyset) -> "Select[Any]":
        """The page of a list that nothing filters, built once for each order."""
        if order.shape not in cls.pages:
            cls.pages[order.shape] = constant(order.statement(cls.views))
        return cls.pages[order.shape]

    def _view_of(self, entity: RowT) -> ViewT:
        return self.view([getattr(entity, field) for field in self.view_type.__struct_fields__])

    async def _count(self, views: "Select[Any]") -> int:
        return int(await self.unit_of_work.scalar(select(func.count()).select_from(views.subquery())))
