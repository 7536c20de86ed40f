"""How rows of an archive fit into another tenant: what is written of them, whom they name, and which stay out."""

from collections import Counter, defaultdict
from typing import Any
from uuid import UUID

from sqlalchemy import Column, DefaultClause, Table, Text, bindparam, cast, column, func, insert, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.sql.dml import Insert

from tenantry.db.rls import is_tenant_owned
from tenantry.tenancy.archive import ArchiveRefused
from tenantry.tenancy.export import exported_columns, person_columns

__all__ = ("ROWS_PER_BATCH", "Fitting", "Row", "TableFitting", "insertion")

ROWS_PER_BATCH = 200
INCOMPLETE = "it has a secret, which no archive carries"
NO_ACCOUNT = "the person has no account here"
REFERS_TO_SKIPPED = "it refers to what was skipped"

Row = dict[str, Any]
Place = tuple[str, str]
"""Table and column."""


def insertion(owned: Table) -> Insert:
    """Of many rows at once, as JSON: PostgreSQL reads each value as its column's type."""
    written = written_columns(owned)
    rows = func.jsonb_to_recordset(cast(bindparam("rows", type_=Text()), JSONB()))
    record = rows.table_valued(*(column(each.name, each.type) for each in written)).render_derived(with_types=True)
    names = [each.name for each in written]
    return insert(owned).from_select(names, select(*record.c), include_defaults=False)


def written_columns(owned: Table) -> list[Column[Any]]:
    """Those that the database does not fill: the tenant, and what it computes from others."""
    return [
        each
        for each in exported_columns(owned)
        if each.name != "tenant_id" and (each.server_default is None or isinstance(each.server_default, DefaultClause))
    ]


class Fitting:
    """Of all tables of one archive, each after those that it refers to."""

    def __init__(self, tenant_id: UUID, people: dict[str, str], tables: list[Table]) -> None:
        self.tenant_id, self.people = str(tenant_id), people
        self.lost: defaultdict[Place, set[Any]] = defaultdict(set)
        """Values of rows that were skipped, in columns that others refer to."""
        self.referred = {place for owned in tables for _, place, _ in references(owned)}
        self.skipped: dict[str, Counter[str]] = {}

    def into(self, owned: Table) -> "TableFitting":
        return TableFitting(self, owned)


class TableFitting:
    """A row as it is written here, or None where it has to stay out."""

    def __init__(self, whole: Fitting, owned: Table) -> None:
        self._whole, self.name = whole, owned.name
        self._names = {each.name for each in exported_columns(owned)}
        self._people = [each.name for each in person_columns(owned)]
        self._references = references(owned)
        self._naming = {*self._people, *(name for name, *_ in self._references), "id"}
        self._needs_secret = any(each.info.get("secret") and not each.nullable for each in owned.columns)
        self._referred = [name for table, name in whole.referred if table == owned.name]
        self.skipped: Counter[str] = Counter()

    def __call__(self, row: Row) -> Row | None:
        if row.keys() != self._names or row["tenant_id"] != self._whole.tenant_id:
            raise ArchiveRefused(f"{self.name} has a row of another tenant, or with other columns than the table.")
        if not all(isinstance(row[name], str | None) for name in self._naming):
            raise ArchiveRefused(f"{self.name} has a row whose references are no text.")
        if reason := self._hindrance(row):
            self.skipped[reason] += 1
            self._whole.skipped[self.name] = self.skipped
            for name in self._referred:
                self._whole.lost[self.name, name].add(row[name])
            return None
        for name in self._people:
            row[name] = self._whole.people.get(row[name])
        for name, _, is_computed in self._references:
            if is_computed:  # as the subject of a membership, of the person that it is
                row[name] = self._whole.people.get(row[name], row[name])
        return row

    def _hindrance(self, row: Row) -> str | None:
        if self._needs_secret:
            return INCOMPLETE
        if any(row[name] is not None and row[name] not in self._whole.people for name in self._people):
            return NO_ACCOUNT
        if any(row[name] in self._whole.lost[place] for name, place, _ in self._references):
            return REFERS_TO_SKIPPED
        return None


def references(owned: Table) -> list[tuple[str, Place, bool]]:
    """Columns that refer to rows of tenant-owned tables, to what, and whether the database computes that."""
    return [
        (element.parent.name, (element.column.table.name, element.column.name), element.column.computed is not None)
        for constraint in owned.foreign_key_constraints
        for element in constraint.elements
        if is_tenant_owned(element.column.table) and element.column.name != "tenant_id"
    ]
