"""The thin base of all repositories: rows go out as Structs; an entity only where a rule changes it."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, Generic, TypeVar, get_args
from uuid import UUID

import msgspec
from sqlalchemy import Delete, Select, bindparam, delete, func, literal_column, select

from tenantry.db.base import Base, Versioned
from tenantry.db.bulk import Bulk, insert_all, remove_all
from tenantry.db.denials import SerializationFailure
from tenantry.db.lane.statement import constant
from tenantry.db.listing import Listing
from tenantry.db.page import Keyset, Page, PageRequest
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

    listing: ClassVar[Listing] = Listing()
    """How its pages may be asked for."""
    not_found: ClassVar[type[NotFound]] = NotFound

    columns: ClassVar[Mapping[str, Any]] = {}
    """Where fields of the view come from that are not the row's own; add the join to `views`."""

    row_type: ClassVar[type[Any]]
    view_type: ClassVar[type[Any]]
    views: ClassVar["Select[Any]"]
    """The statement that selects the view of every row; add `where` to it."""

    by_id: ClassVar["Select[Any]"]
    """Selects the version of a row and its view."""
    is_versioned: ClassVar[bool]
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
        cls.listing = cls.listing.bound_to(cls.row_type, cls.view_type, cls.columns)
        cls.stored = Rows(cls.row_type)
        cls.is_versioned = issubclass(cls.row_type, Versioned)
        version = cls.row_type.version if cls.is_versioned else literal_column("0")
        with_version = select(version, *cls.views.selected_columns)
        cls.by_id = constant(with_version.where(cls.row_type.id == bindparam("id")))
        cls.removal = constant(delete(cls.row_type).where(cls.row_type.id == bindparam("id")))
        cls.pages = {}

    def __init__(self, unit_of_work: UnitOfWork) -> None:
        self.unit_of_work = unit_of_work

    async def get(self, id: UUID) -> ViewT:
        found = await self.unit_of_work.structs(self.by_id, self._noted, {"id": id})
        if not found:
            raise self.not_found
        return found[0]

    async def entity(self, id: UUID) -> RowT:
        """The row as an object whose rules may change it; locked until the transaction ends."""
        statement = select(self.row_type).where(self.row_type.id == id).with_for_update()
        entity: RowT | None = await self.unit_of_work.entity(statement)
        if entity is None:
            raise self.not_found
        self._check(entity)
        return entity

    async def alter(self, id: UUID, rule: Callable[[RowT], None]) -> ViewT:
        """Apply a rule of the model to one row."""
        rows = self.stored
        if not rows.stand_alone:
            entity = await self.entity(id)
            rule(entity)
            return await self.save(entity)
        version, entity = await self._found(id)
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
            return self._noted(1, *[held[field] for field in self.view_type.__struct_fields__])
        returning = rows.insertion(tuple(values), tuple(self.views.selected_columns))
        added = await self.unit_of_work.structs(returning, partial(self._noted, 1), values)
        return added[0]

    async def remove(self, id: UUID) -> None:
        if self.unit_of_work.versions.precondition is None:
            await self.unit_of_work.write(self.removal, {"id": id}, otherwise=self.not_found)
            return
        version, _ = await self._found(id)
        values = {"old_id": id, "old_version": version}
        await self.unit_of_work.write(self.stored.removal, values, otherwise=SerializationFailure)

    async def add_all(self, rows: Sequence[RowT]) -> Bulk[ViewT]:
        """Of rows whose views are made of what they hold."""
        assert self.stored.echoes(self.view_type.__struct_fields__)
        await insert_all(self.unit_of_work, self.stored.table, self.stored.complete_all(rows))
        return Bulk([self.view([vars(row)[field] for field in self.view_type.__struct_fields__]) for row in rows])

    async def remove_all(self, ids: Sequence[UUID]) -> None:
        await remove_all(self.unit_of_work, self.stored.table, ids, self.not_found)

    async def page(self, request: PageRequest, views: "Select[Any] | None" = None) -> Page[ViewT]:
        """One page of `views`, else of all, as it was asked for; its cost does not grow with its depth."""
        whole = self.views if views is None else views
        if request.narrows:
            whole = whole.where(*(self.listing.condition(asked) for asked in request.conditions))
            if request.search is not None and self.listing.search is not None:
                whole = whole.where(self.listing.search(request.search))
        order = Keyset(self.row_type, request)
        statement = self._whole_list(order) if whole is self.views else order.statement(whole)
        items = order.page(await self.unit_of_work.structs(statement, self.view_type, order.values))
        total = await self._count(whole) if request.include_total else msgspec.UNSET
        return Page(items, request.next_cursor, total)

    def view(self, values: Any) -> ViewT:
        view: ViewT = self.view_type(*values)
        return view

    @classmethod
    def _whole_list(cls, order: Keyset) -> "Select[Any]":
        """The page of a list that nothing filters, built once for each order."""
        if order.shape not in cls.pages:
            cls.pages[order.shape] = constant(order.statement(cls.views))
        return cls.pages[order.shape]

    async def _found(self, id: UUID) -> tuple[str, RowT]:
        """The row as an object, and what PostgreSQL calls its state; a change has to name that, or the row is locked.

        Raises:
            PreconditionFailed: its version is none of those that the caller named.
        """
        chosen = self.stored.versioned if self.unit_of_work.is_optimistic else self.stored.locked
        found = await self.unit_of_work.structs(chosen, self.stored.read, {"id": id}, asks=False)
        if not found:
            raise self.not_found
        self._check(found[0][1])
        return found[0]

    def _check(self, entity: Any) -> None:
        precondition = self.unit_of_work.versions.precondition
        if precondition is not None and self.is_versioned:
            precondition.check(entity.id, entity.version)

    def _view_of(self, entity: Any) -> ViewT:
        version = entity.version if self.is_versioned else 0
        return self._noted(version, *[getattr(entity, field) for field in self.view_type.__struct_fields__])

    def _noted(self, version: int, *values: Any) -> ViewT:
        view: ViewT = self.view_type(*values)
        versions = self.unit_of_work.versions
        versions.noted = (view, version, versions.noted)
        return view

    async def _count(self, views: "Select[Any]") -> int:
        return int(await self.unit_of_work.scalar(select(func.count()).select_from(views.subquery())))
