"""What the fast lane takes, and that a unit of work means the same on it as on the ordinary session."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from sqlalchemy import (
    DateTime,
    cast,
    delete,
    func,
    insert,
    literal,
    literal_column,
    select,
    text,
    union,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, INET, INTERVAL, JSONB, NUMERIC
from sqlalchemy.types import BigInteger, Boolean, Date, Double, LargeBinary, Text, Uuid

from features.projects.dtos import Project
from features.projects.models import ProjectRow
from features.projects.repository import ProjectRepository
from tenantry.context import start_request
from tenantry.db.database import Database
from tenantry.db.lane.statement import bound
from tenantry.db.session import UnitOfWork
from tenantry.errors import AppError, Conflict, NotFound
from tenantry.ids import new_id
from tenantry.security.principal import Principal
from tenantry.testing import TenantHandle

TABLE = ProjectRow.__table__
VIEWS = ProjectRepository.views
ID = new_id()
TAKEN: dict[str, Any] = {
    "by key": VIEWS.where(ProjectRow.id == ID),
    "by unique column and more": VIEWS.where(ProjectRow.name == "x", ProjectRow.archived_at.is_(None)),
    "limited": VIEWS.where(ProjectRow.name.icontains("x")).order_by(ProjectRow.created_at).limit(3),
    "insert": insert(ProjectRow).values(name="x"),
    "update by key": update(ProjectRow).where(ProjectRow.id == ID).values(name="x"),
    "delete by key": delete(ProjectRow).where(ProjectRow.id == ID),
}
LEFT: dict[str, tuple[Any, str]] = {
    "unlimited": (VIEWS, "any number of rows"),
    "count": (select(func.count()).select_from(ProjectRow), "any number of rows"),
    "not unique": (VIEWS.where(ProjectRow.description == "x"), "any number of rows"),
    "unique column, but not equal": (VIEWS.where(ProjectRow.name > "x"), "any number of rows"),
    "unique column, or another": (VIEWS.where((ProjectRow.id == ID) | (ProjectRow.name != "x")), "any number"),
    "locking": (VIEWS.where(ProjectRow.id == ID).with_for_update(), "locks"),
    "objects": (select(ProjectRow).where(ProjectRow.id == ID), "objects"),
    "returning": (delete(ProjectRow).where(ProjectRow.id == ID).returning(ProjectRow.name), "returns rows"),
    "update of many": (update(ProjectRow).values(name="x"), "any number of rows"),
    "insert from select": (insert(ProjectRow).from_select(["name"], select(ProjectRow.name)), "what it selects"),
    "side effect": (select(func.nextval("x")).limit(1), "calls nextval"),
    "side effect in a condition": (VIEWS.where(ProjectRow.name == func.pg_sleep(1)).limit(1), "calls pg_sleep"),
    "text": (text("SELECT 1"), "neither"),
    "text inside": (VIEWS.where(text("true")).limit(1), "as text"),
    "union": (union(VIEWS, VIEWS).limit(1), "neither"),
    "list of values": (VIEWS.where(ProjectRow.id.in_([ID])).limit(1), "changes its text"),
    "write in a common table expression": (
        select(delete(ProjectRow).returning(ProjectRow.id).cte("gone").c.id).limit(1),
        "inside of another",
    ),
}
VALUES: dict[str, Any] = {
    "uuid": literal(ID, Uuid()),
    "text": literal("Ünïcode \\ ' % :x $1", Text()),
    "empty text": literal("", Text()),
    "null": literal(None, Text()),
    "true": literal(True, Boolean()),
    "big integer": literal(2**62, BigInteger()),
    "double": literal(0.1, Double()),
    "numeric": cast(literal("12345.678900"), NUMERIC()),
    "bytes": literal(b"\x00\xff", LargeBinary()),
    "date": cast(literal("2026-02-28"), Date()),
    "time in UTC": literal(datetime(2026, 2, 28, 12, 30, 1, 999999, UTC), DateTime(timezone=True)),
    "time elsewhere": literal(datetime(2026, 2, 28, tzinfo=timezone(timedelta(hours=5.5))), DateTime(timezone=True)),
    "json": cast(literal('{"a": [1, null, "x"]}'), JSONB()),
    "array": cast(literal("{a,NULL,c}"), ARRAY(Text())),
    "interval": cast(literal("1 day 02:03:04"), INTERVAL()),
    "address": cast(literal("10.1.2.3"), INET()),
}


@asynccontextmanager
async def unit_of(database: Database, tenant: TenantHandle, *, fast: bool) -> AsyncIterator[UnitOfWork]:
    unit_of_work = database.unit_of_work(fast=fast, repeatable=True)
    account = tenant.owner
    unit_of_work.begin_request(Principal(account.id, account.session_id, tenant.id), "projects:write")
    try:
        yield unit_of_work
    finally:
        await unit_of_work.close()


@pytest.fixture
async def work(database: Database, acme: TenantHandle, settings: Any) -> AsyncIterator[UnitOfWork]:
    if not settings.database_fast_lane:
        pytest.skip("the fast lane is switched off")
    async with unit_of(database, acme, fast=True) as unit_of_work:
        yield unit_of_work


async def names(database: Database, tenant: TenantHandle) -> list[str]:
    async with unit_of(database, tenant, fast=False) as unit_of_work:
        return [row.name for row in await unit_of_work.rows(select(ProjectRow.name).order_by(ProjectRow.name))]


async def add_and_commit(unit_of_work: UnitOfWork, name: str) -> Project:
    added = await ProjectRepository(unit_of_work).add(ProjectRow(name=name))
    await unit_of_work.commit()
    return added


@pytest.mark.parametrize("kind", TAKEN)
def test_bounded_statements_are_taken(kind: str) -> None:
    """What reads at most a page, or writes one row, may travel on a connection that others wait for."""
    assert None is bound(TAKEN[kind]).statement.refusal


@pytest.mark.parametrize("kind", LEFT)
def test_others_are_left_to_the_session(kind: str) -> None:
    """What may take long, wait, return what it wrote, or have a side effect, is not taken, and the reason is given."""
    statement, reason = LEFT[kind]

    assert reason in str(bound(statement).statement.refusal)


@pytest.mark.parametrize("kind", VALUES)
async def test_values_are_the_same_both_ways(database: Database, acme: TenantHandle, kind: str) -> None:
    """A value that goes into a statement and comes back is equal, and of the same type, on both lanes."""
    statement = select(VALUES[kind].label("value")).limit(1)
    found = []
    for fast in (True, False):
        async with unit_of(database, acme, fast=fast) as unit_of_work:
            found.append(await unit_of_work.scalar(statement))

    assert None is bound(statement).statement.refusal
    assert found[0] == found[1]
    assert type(found[0]) is type(found[1])


async def test_rows_are_the_same_both_ways(database: Database, acme: TenantHandle) -> None:
    """A row has the same names and values on both lanes, also where a name stands for a label."""
    statement = select(literal(1).label("one"), literal_column("'b'", Text()).label("two")).limit(1)
    found = []
    for fast in (True, False):
        async with unit_of(database, acme, fast=fast) as unit_of_work:
            row = await unit_of_work.row(statement)
            assert row is not None
            found.append((row.one, row.two, tuple(row), dict(row._mapping)))

    assert found[0] == found[1]


async def test_write_travels_with_its_commit(work: UnitOfWork, database: Database, acme: TenantHandle) -> None:
    """Two projects are added, authorised and committed in one trip; before that nobody sees them."""
    trips = start_request("test-of-the-lane")
    projects = ProjectRepository(work)
    added = [await projects.add(ProjectRow(name=name)) for name in ("Apollo", "Gemini")]
    before = trips.fast, trips.session
    await work.commit()

    assert ((0, 0), (1, 0)) == (before, (trips.fast, trips.session))
    assert ["Apollo", "Gemini"] == await names(database, acme)
    async with unit_of(database, acme, fast=True) as another:
        assert added == [await ProjectRepository(another).get(project.id) for project in added]


async def test_work_that_is_closed_has_not_happened(work: UnitOfWork, database: Database, acme: TenantHandle) -> None:
    """A write that waits for its commit is forgotten when there is none."""
    await ProjectRepository(work).add(ProjectRow(name="Apollo"))
    await work.close()

    assert [] == await names(database, acme)


async def test_reads_see_what_was_written_before(work: UnitOfWork) -> None:
    """A read after a write finds it, in the same transaction: from there on the session has it all."""
    trips = start_request("test-of-the-lane")
    projects = ProjectRepository(work)
    added = await projects.add(ProjectRow(name="Apollo"))
    found = await projects.get(added.id)

    assert added == found
    assert 0 == trips.fast


async def test_failed_write_takes_the_others_with_it(work: UnitOfWork, database: Database, acme: TenantHandle) -> None:
    """Of two writes that travel together neither is kept when the second one is refused."""
    projects = ProjectRepository(work)
    await projects.add(ProjectRow(name="Apollo"))
    await projects.add(ProjectRow(name="Apollo"))

    with pytest.raises(Conflict) as error:
        await work.commit()
    assert "project_name_taken" == error.value.code
    assert [] == await names(database, acme)


async def test_write_that_changes_nothing_undoes_the_others(
    work: UnitOfWork, database: Database, acme: TenantHandle
) -> None:
    """A removal of what is not there fails the unit of work, with everything else that it was to write."""
    projects = ProjectRepository(work)
    await projects.add(ProjectRow(name="Apollo"))
    await projects.remove(new_id())

    with pytest.raises(NotFound):
        await work.commit()
    assert [] == await names(database, acme)


async def test_refused_request_writes_nothing(database: Database, acme: TenantHandle, globex: TenantHandle) -> None:
    """The commit of somebody who is no member is refused on both lanes, and nothing is kept."""
    refusals = []
    for fast in (True, False):
        unit_of_work = database.unit_of_work(fast=fast)
        intruder = Principal(globex.owner.id, globex.owner.session_id, acme.id)
        unit_of_work.begin_request(intruder, "projects:write")
        with pytest.raises(AppError) as error:
            await add_and_commit(unit_of_work, "Apollo")
        await unit_of_work.close()
        refusals.append(error.value.code)

    assert ["not_a_member"] * 2 == refusals
    assert [] == await names(database, acme)


async def test_change_notices_that_it_comes_too_late(work: UnitOfWork, database: Database, acme: TenantHandle) -> None:
    """A change of what somebody else has changed since it was read is refused as a conflict, and overwrites nothing."""
    async with unit_of(database, acme, fast=True) as first:
        project = await add_and_commit(first, "Apollo")
    await ProjectRepository(work).alter(project.id, lambda row: setattr(row, "description", "late"))
    async with unit_of(database, acme, fast=True) as second:
        kept = await ProjectRepository(second).alter(project.id, lambda row: setattr(row, "name", "Gemini"))
        await second.commit()

    with pytest.raises(Conflict) as error:
        await work.commit()
    assert ("concurrent_change", True) == (error.value.code, work.verdict.has_conflicted)
    async with unit_of(database, acme, fast=True) as third:
        assert kept == await ProjectRepository(third).get(project.id)


async def test_failed_transaction_is_never_committed(database: Database, acme: TenantHandle) -> None:
    """Who swallows the error of a statement cannot commit: PostgreSQL would roll back and call it a success."""
    async with unit_of(database, acme, fast=False) as unit_of_work:
        with pytest.raises(Exception, match="division by zero"):
            await unit_of_work.scalar(text("SELECT 1 / 0"))

        with pytest.raises(RuntimeError, match="a statement failed"):
            await unit_of_work.commit()


def test_same_text_is_compiled_once() -> None:
    """Statements that differ in their values alone share one compiled statement, with the values of each."""
    first, second = (bound(VIEWS.where(ProjectRow.id == new_id())) for _ in range(2))

    assert first.statement is second.statement
    assert first.step()[1] != second.step()[1]
    assert Project.__struct_fields__ == tuple(column.key for column in VIEWS.selected_columns)
