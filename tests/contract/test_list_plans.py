"""What PostgreSQL does for a page: its own plan, among 100,000 rows of many tenants, as the role that serves."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import psycopg
import pytest
from sqlalchemy import ColumnElement
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg

from features.projects.repository import ProjectRepository
from tenantry.db.page import Keyset, PageRequest, Position
from tenantry.testing.databases import DatabaseUrls, TestDatabases

ROWS, TENANTS = 100_000, 20
TENANT = UUID(int=3)
TENANT_ID = "('00000000-0000-0000-0000-' || lpad(to_hex(n), 12, '0'))::uuid"
FILL = f"""
    SET session_replication_role = replica;
    INSERT INTO tenants (id, name, slug, status, plan, settings, created_at, updated_at)
    SELECT {TENANT_ID}, 't', 't' || n, 'active', 'unlimited', '{{}}', now(), now()
    FROM generate_series(0, {TENANTS - 1}) n;
    INSERT INTO projects (tenant_id, id, name, description, created_at, updated_at)
    SELECT {TENANT_ID}, gen_random_uuid(), 'Project ' || i, 'What is to be done by whom',
           '2026-01-01 00:00:00+00'::timestamptz + i * interval '1 second', now()
    FROM (SELECT i, i % {TENANTS} AS n FROM generate_series(1, {ROWS}) i) numbered;
    ANALYZE projects;
"""  # noqa: S608 -- constants
LAST = Position(backwards=False, value="", id=UUID(int=0))


@pytest.fixture(scope="module")
def filled(databases: TestDatabases, worker_id: str) -> Iterator[DatabaseUrls]:
    with databases.clone(f"plans_{worker_id}") as urls:
        with psycopg.connect(urls.conninfo) as connection:
            connection.execute(FILL.encode())
        yield urls


def plan(urls: DatabaseUrls, sort: str, position: Position | None = None, search: str | None = None) -> dict[str, Any]:
    """Of a page of the list, once it has run."""
    where: list[ColumnElement[bool]] = []
    if search is not None:
        assert ProjectRepository.listing.search is not None
        where = [ProjectRepository.listing.search(search)]
    keyset = Keyset(ProjectRepository.row_type, PageRequest(50, sort, lambda _: "", position))
    statement = keyset.statement(ProjectRepository.views.where(*where)).params(keyset.values)
    text = str(statement.compile(dialect=PGDialect_psycopg(), compile_kwargs={"literal_binds": True}))  # type: ignore[no-untyped-call]  # SQLAlchemy left it untyped
    conninfo = urls.runtime.replace("+psycopg", "")
    with psycopg.connect(conninfo) as connection:
        connection.execute("SELECT set_config('app.tenant_id', %s, true)", [str(TENANT)])
        row = connection.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {text.replace('%%', '%')}".encode()).fetchone()
    assert row is not None
    found: dict[str, Any] = row[0][0]["Plan"]
    return found


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for below in plan.get("Plans", ()):
        yield from nodes(below)


def rows_seen(plan: dict[str, Any]) -> float:
    """By what reads the table, those that it let fall as well."""
    read = [node for node in nodes(plan) if node.get("Relation Name") == "projects"]
    seen: float = sum(node["Actual Rows"] + node.get("Rows Removed by Filter", 0) for node in read)
    return seen


def conditions(plan: dict[str, Any]) -> str:
    return " ".join(str(node.get("Index Cond", "")) for node in nodes(plan))


@pytest.mark.parametrize("search", ["project", "project 77", "nothing"])
def test_search_reads_one_tenant(filled: DatabaseUrls, search: str) -> None:
    """An index leads to the tenant's rows. Those of others, nineteen of twenty, are not looked at."""
    found = plan(filled, "-created_at", search=search)

    assert "Seq Scan" not in {node["Node Type"] for node in nodes(found)}
    assert "tenant_id = " in conditions(found)
    assert rows_seen(found) <= ROWS / TENANTS


@pytest.mark.parametrize(
    ("sort", "value"),
    [("-created_at", datetime(2026, 1, 1, 0, 10, tzinfo=UTC)), ("name", "Project 99"), ("-name", "Project 10")],
)
def test_depth_costs_nothing(filled: DatabaseUrls, sort: str, value: Any) -> None:
    """A page near the end of the list reads a page of rows, as the first does, whatever it is sorted by."""
    late = Position(backwards=False, value=value, id=UUID(int=0))

    for position in (None, late):
        found = plan(filled, sort, position)
        assert rows_seen(found) <= 100
        assert "tenant_id = " in conditions(found)
