"""Keeps statements that touch a tenant's table from running where no tenant is bound."""

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from sqlalchemy import Executable, TextClause
from sqlalchemy.orm import Mapper
from sqlalchemy.sql import visitors
from sqlalchemy.sql.schema import Table

from tenantry.db.base import Base, TenantOwned

__all__ = ("TenantNotBound", "refuse_tenant_tables", "tables_of")

WORD = re.compile(r"\w+")


class TenantNotBound(RuntimeError):
    """A statement touches a tenant's table and no tenant is bound: a fault of the code, not of the request."""


def refuse_tenant_tables(names: frozenset[str], *, user_is_bound: bool) -> None:
    """
    Raises:
        TenantNotBound: a tenant's table is among them; those of which people see their own rows need a user only.
    """
    closed = _tenant_tables() - (_tables_with_own_rows() if user_is_bound else frozenset())
    if touched := closed & names:
        raise TenantNotBound(f"no tenant is bound, and the statement touches {', '.join(sorted(touched))}")


def tables_of(statement: Executable) -> frozenset[str]:
    """Of all tables that a statement names in any way; of SQL as text every word may be one."""
    return frozenset(name for element in _elements(statement, set()) for name in _names(element))


def _names(element: Any) -> list[str]:
    if isinstance(element, TextClause):
        return WORD.findall(element.text)
    return [element.name] if isinstance(element, Table) else []


def _elements(root: Any, seen: set[Any]) -> Iterator[Any]:
    """All parts of a statement; UPDATE and DELETE name a second table by nothing but its columns."""
    for element in visitors.iterate(root):
        yield element
        table = getattr(element, "table", None)
        if table is not None and table not in seen:
            seen.add(table)
            yield from _elements(table, seen)


@cache
def _tenant_tables() -> frozenset[str]:
    return frozenset(mapper.local_table.description for mapper in _tenant_owned())


@cache
def _tables_with_own_rows() -> frozenset[str]:
    """Those of which people see their own rows without a tenant."""
    owned = (mapper for mapper in _tenant_owned() if mapper.class_.readable_across_tenants)
    return frozenset(mapper.local_table.description for mapper in owned)


def _tenant_owned() -> list[Mapper[Any]]:
    return [mapper for mapper in Base.registry.mappers if issubclass(mapper.class_, TenantOwned)]
