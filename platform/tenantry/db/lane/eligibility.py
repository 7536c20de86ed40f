"""Which statements the fast lane takes: bounded ones that end with their answer. All others go through the session."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import BindParameter, Column, Delete, Executable, Insert, Select, TextClause, UniqueConstraint, Update
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.sql import operators, visitors
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.dml import UpdateBase
from sqlalchemy.sql.elements import BinaryExpression, BooleanClauseList
from sqlalchemy.sql.functions import FunctionElement

__all__ = ("refusal",)

# Functions without a side effect; of any other, nobody here can know.
FUNCTIONS = frozenset(
    {"avg", "coalesce", "concat", "count", "date_trunc", "greatest", "least", "length", "lower", "max", "min", "now"}
    | {"replace", "round", "sum", "to_tsquery", "trim", "upper"}
)


def refusal(statement: Executable, compiled: SQLCompiler) -> str | None:
    """Why the fast lane does not take this statement; None when it does."""
    if not isinstance(statement, Select | Insert | Update | Delete):
        return "is neither SELECT, INSERT, UPDATE nor DELETE"
    if compiled.post_compile_params or compiled.literal_execute_params:
        return "changes its text with its parameters"
    for element in visitors.iterate(statement):
        if isinstance(element, TextClause):
            return "contains SQL as text"
        if isinstance(element, FunctionElement) and element.name.lower() not in FUNCTIONS:
            return f"calls {element.name}()"
        if isinstance(element, UpdateBase) and element is not statement:
            return "writes inside of another statement"
    if isinstance(statement, Select):
        return _refusal_of_select(statement)
    if compiled.effective_returning:
        return "writes and returns rows"
    if isinstance(statement, Insert):
        return "inserts what it selects" if statement.select is not None else None
    return None if _names_one_row(statement.whereclause) else "writes any number of rows"


def _refusal_of_select(statement: "Select[Any]") -> str | None:
    # SQLAlchemy has no public way to ask for these two.
    if statement._for_update_arg is not None:
        return "locks rows"
    if any(_is_entity(described) for described in statement.column_descriptions):
        return "selects objects"
    if statement._limit_clause is None and not _names_one_row(statement.whereclause):
        return "reads any number of rows"
    return None


def _is_entity(described: Any) -> bool:
    return isinstance(described["type"], type) and issubclass(described["type"], DeclarativeBase)


def _names_one_row(condition: Any) -> bool:
    """Whether it asks for one value of a column that is unique within a tenant."""
    return any(
        isinstance(part, BinaryExpression)
        and part.operator is operators.eq
        and isinstance(part.left, Column)
        and isinstance(part.right, BindParameter)
        and _is_unique(part.left)
        for part in _conjuncts(condition)
    )


def _conjuncts(condition: Any) -> Iterator[Any]:
    if isinstance(condition, BooleanClauseList) and condition.operator is operators.and_:
        for clause in condition.clauses:
            yield from _conjuncts(clause)
    else:
        yield condition


def _is_unique(column: "Column[Any]") -> bool:
    table = column.table
    keys = [table.primary_key, *(c for c in table.constraints if isinstance(c, UniqueConstraint))]
    return any({c.name for c in key.columns} - {"tenant_id"} == {column.name} for key in keys)
