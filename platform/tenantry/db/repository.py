"""The thin base of all repositories: rows go out as Structs; an entity only where a rule changes it."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Generic, TypeVar, get_args
from uuid import UUID

import msgspec
from sqlalchemy import Delete, Select, delete, func, insert, select

from tenantry.db.base import Base
from tenantry.db.page import Page, PageRequest, keyset
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

    def __init_subclass__(cls) -> None:
        cls.row_type, cls.view_type = get_args(cls.__orig_bases__[0])  # type: ignore[attr-defined]  # set on every generic subclass
        cls.views = select(
            *(
                cls.columns[field] if field in cls.columns else getattr(cls.row_type, field)
                for field in cls.view_type.__struct_fields__
            )
        )

    def __init__(self, unit_of_work: UnitOfWork) -> None:
        self.unit_of_work = unit_of_work

    async def get(self, id: UUID) -> ViewT:
        row = await self.unit_of_work.row(self.views.where(self.row_type.id == id))
        if row is None:
            raise self.not_found
        return self.view(row)

    async def entity(self, id: UUID) -> RowT:
        """The row as an object whose rules may change it; locked until the transaction ends."""
        statement = select(self.row_type).where(self.row_type.id == id).with_for_update()
        entity: RowT | None = await self.unit_of_work.entity(statement)
        if entity is None:
            raise self.not_found
        return entity

    async def alter(self, id: UUID, rule: Callable[[RowT], None]) -> ViewT:
        """Apply a rule of the model to one row."""
        entity = await self.entity(id)
        rule(entity)
        return await self.save(entity)

    async def save(self, entity: RowT) -> ViewT:
        """Write what rules changed in `entity`."""
        await self.unit_of_work.flush()
        return self.view([getattr(entity, field) for field in self.view_type.__struct_fields__])

    async def add(self, row: RowT) -> ViewT:
        values = {key: value for key, value in vars(row).items() if key != "_sa_instance_state"}
        added = await self.unit_of_work.row(
            insert(self.row_type).values(values).returning(*self.views.selected_columns)
        )
        assert added is not None
        return self.view(added)

    async def remove(self, id: UUID) -> None:
        statement: Delete = delete(self.row_type).where(self.row_type.id == id)
        if await self.unit_of_work.execute(statement) == 0:
            raise self.not_found

    async def page(self, views: "Select[Any]", request: PageRequest) -> Page[ViewT]:
        """One page of `views` in the order that was asked for; its cost does not grow with its depth."""
        order = keyset(self.row_type, self.sortable, request)
        rows = await self.unit_of_work.rows(order.apply(views))
        items = [self.view(row) for row in rows[: request.limit]]
        return Page(
            items=items,
            next_cursor=order.cursor_after(items[-1]) if len(rows) > request.limit else None,
            total=await self._count(views) if request.include_total else msgspec.UNSET,
        )

    def view(self, values: Any) -> ViewT:
        view: ViewT = self.view_type(*values)
        return view

    async def _count(self, views: "Select[Any]") -> int:
        return int(await self.unit_of_work.scalar(select(func.count()).select_from(views.subquery())))
