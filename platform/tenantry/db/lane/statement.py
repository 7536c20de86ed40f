"""SQLAlchemy statements, compiled once for the fast lane: SQL, the order of parameters, and how rows come back."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC
from itertools import starmap
from typing import Any, TypeVar

from advanced_alchemy.types import DateTimeUTC
from cachetools import LRUCache
from psycopg import adapters
from psycopg.adapt import PyFormat, Transformer
from psycopg.pq.abc import PGresult
from sqlalchemy import BindParameter, Boolean, Executable, Float, Insert, LargeBinary, Numeric, Row, Select
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.engine import IteratorResult
from sqlalchemy.engine.result import SimpleResultMetaData
from sqlalchemy.sql.compiler import SQLCompiler

from tenantry.db.lane.eligibility import refusal
from tenantry.db.lane.query import Query, Step
from tenantry.db.tenant_tables import tables_of

__all__ = ("BoundStatement", "Statement", "bound", "constant")

DIALECT = PGDialect_psycopg(paramstyle="numeric_dollar")  # type: ignore[no-untyped-call]  # SQLAlchemy left it untyped
LARGEST_NUMBER_OF_STATEMENTS = 1000
OIDS: dict[type[Any], int] = {
    kind: adapters.types[name].oid
    for kind, name in {Boolean: "bool", LargeBinary: "bytea", Float: "float8", Numeric: "numeric"}.items()
}
T = TypeVar("T")
Values = Mapping[str, Any]
Source = Callable[[Values, Sequence[BindParameter[Any]]], Any]
Convert = Callable[[Any], Any]
# One for all connections: they speak UTF-8, and binary times know no time zone.
_adapt = Transformer()


class Statement:
    """`refusal` says why the fast lane does not take it; the rest exists only where it does."""

    def __init__(self, statement: Executable, parameters: Sequence[BindParameter[Any]]) -> None:
        # Else it would return the keys that the database makes, to nobody.
        plain = statement.inline() if isinstance(statement, Insert) and not statement.exported_columns else statement
        compiled = plain.compile(dialect=DIALECT)  # type: ignore[attr-defined]  # every Executable in use has it
        self.text: str = compiled.string
        self.writes = not isinstance(statement, Select)
        self.tables = tables_of(statement)
        self.refusal = refusal(statement, compiled)
        if self.refusal is None:
            text = self.text.encode()
            types = tuple(_oid(compiled.binds[name].type) for name in compiled.positiontup or ())
            digest = hashlib.sha256(repr((text, types)).encode()).hexdigest()[:24]
            self.query = Query(b"t_" + digest.encode(), text, types)
            self._sources = _sources(compiled, parameters)
            self._formats = [PyFormat.TEXT] * len(self._sources)
            columns = statement.selected_columns if isinstance(statement, Select) else ()
            self._names = SimpleResultMetaData([str(column.key) for column in columns])
            self._types = [column.type for column in columns]
            self._converts: list[Convert | None] | None = None

    def step(self, values: Values, parameters: Sequence[BindParameter[Any]]) -> Step:
        """
        Raises:
            psycopg.DataError: a value that PostgreSQL has no text for, such as a string with a NUL.
        """
        found = [source(values, parameters) for source in self._sources]
        # Every parameter has its type in the SQL, so the text of a value is enough.
        return self.query, _adapt.dump_sequence(found, self._formats)  # type: ignore[return-value]  # bytes are Buffers

    def structs(self, result: PGresult, into: Callable[..., T]) -> list[T]:
        """The values of each row, in their order, given to `into`."""
        return list(starmap(into, self._tuples(result)))

    def rows(self, result: PGresult) -> Sequence[Row[Any]]:
        rows: IteratorResult[Any] = IteratorResult(self._names, iter(self._tuples(result)))
        return rows.all()

    def _tuples(self, result: PGresult) -> list[tuple[Any, ...]]:
        if self._converts is None:
            converts = [_convert(type_, result.ftype(number)) for number, type_ in enumerate(self._types)]
            self._converts = converts if any(converts) else []
        _adapt.set_pgresult(result)
        rows = _adapt.load_rows(0, result.ntuples, tuple)
        if not self._converts:
            return rows
        return [
            tuple(
                value if convert is None else convert(value) for convert, value in zip(self._converts, row, strict=True)
            )
            for row in rows
        ]


class BoundStatement:
    """A statement with the values of one execution."""

    __slots__ = ("_parameters", "_values", "statement")

    def __init__(self, statement: Statement, values: Values, parameters: Sequence[BindParameter[Any]]) -> None:
        self.statement = statement
        self._values = values
        self._parameters = parameters

    def step(self) -> Step:
        return self.statement.step(self._values, self._parameters)


_constants: dict[int, tuple[Executable, Statement | None]] = {}
_by_shape: LRUCache[Any, Statement] = LRUCache(LARGEST_NUMBER_OF_STATEMENTS)
StatementT = TypeVar("StatementT", bound=Executable)


def constant(statement: StatementT) -> StatementT:
    """Know a statement by its identity from now on, for ever: for those that are made once, with `bindparam`s."""
    _constants[id(statement)] = (statement, None)
    return statement


def bound(statement: Executable, values: Values | None = None) -> BoundStatement:
    """Compiled once for each shape; `values` are those of its `bindparam`s that have none."""
    if (known := _constants.get(id(statement))) is not None:
        if (compiled := known[1]) is None:
            compiled = Statement(statement, ())
            _constants[id(statement)] = (statement, compiled)
        return BoundStatement(compiled, values or {}, ())
    shape = statement._generate_cache_key()  # type: ignore[attr-defined]  # what SQLAlchemy's own cache is keyed by
    if shape is None:
        return BoundStatement(Statement(statement, ()), values or {}, ())
    compiled = _by_shape.get(shape.key)
    if compiled is None:
        compiled = _by_shape[shape.key] = Statement(statement, shape.bindparams)
    return BoundStatement(compiled, values or {}, shape.bindparams)


def _sources(compiled: SQLCompiler, parameters: Sequence[BindParameter[Any]]) -> list[Source]:
    """For each `$n`, where its value comes from at each execution."""
    indexes = {id(compiled.binds[p.key]): index for index, p in enumerate(parameters) if p.key in compiled.binds}
    defaults = {
        **{column.key: column.default for column in compiled.insert_prefetch},
        **{column.key: column.onupdate for column in compiled.update_prefetch},
    }
    return [
        _default(defaults[name])
        if name in defaults
        else _bound(compiled.binds[name], indexes.get(id(compiled.binds[name])))
        for name in compiled.positiontup or ()
    ]


def _default(default: Any) -> Source:
    if default.is_callable:
        return lambda values, parameters: default.arg(None)
    return lambda values, parameters: default.arg


def _bound(parameter: BindParameter[Any], index: int | None) -> Source:
    convert: Convert | None = parameter.type.dialect_impl(DIALECT).bind_processor(DIALECT)
    if convert is not None and isinstance(parameter.type, DateTimeUTC):
        convert = _in_utc(convert)
    key = parameter.key
    if index is not None and parameter.unique:
        return _converted(lambda values, parameters: parameters[index].effective_value, convert)
    if index is not None and not parameter.required:
        # The value of this execution; `parameter` is that of the first statement of this shape.
        return _converted(lambda values, parameters: values.get(key, parameters[index].effective_value), convert)
    if not parameter.required:
        return _converted(lambda values, parameters: values.get(key, parameter.effective_value), convert)
    if convert is None:
        return lambda values, parameters: values[key]
    return lambda values, parameters: convert(values[key])  # a call less than `_converted`


def _converted(given: Source, convert: Convert | None) -> Source:
    return given if convert is None else lambda values, parameters: convert(given(values, parameters))


def _in_utc(convert: Convert) -> Convert:
    """What is in UTC already need not go through its conversion to UTC."""
    return lambda value: value if value is None or value.tzinfo is UTC else convert(value)


def _convert(type_: Any, oid: int) -> Convert | None:
    # Its own conversion makes of a time in UTC the same time in UTC.
    if isinstance(type_, DateTimeUTC):
        return None
    convert: Convert | None = type_.dialect_impl(DIALECT).result_processor(DIALECT, oid)
    return convert


def _oid(type_: Any) -> int:
    """Of a parameter that SQLAlchemy writes without a cast; PostgreSQL would take some of them for texts."""
    return next((oid for kind, oid in OIDS.items() if isinstance(type_, kind)), 0)
