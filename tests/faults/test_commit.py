"""An answer never claims more than the database has kept, whatever fails, and at whatever moment."""

import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest
from litestar import Litestar
from structlog.testing import capture_logs

from tenantry.app import create_app
from tenantry.config import Settings
from tenantry.testing import Api, TenantHandle, asgi_client, problem
from tenantry.testing.databases import DatabaseUrls, TestDatabases

TABLE = """
CREATE TABLE entries (
    number int PRIMARY KEY,
    parent int REFERENCES entries DEFERRABLE INITIALLY DEFERRED,
    fault text
);
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.fault IS NOT NULL THEN RAISE EXCEPTION 'too late: %', NEW.fault; END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER late AFTER INSERT ON entries DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION refuse();
GRANT SELECT, INSERT ON entries TO tenantry_app;
"""

# A slice whose routes write a row and then fail, each in its own way.
PLUGIN = """
from litestar import Controller, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Stream
from sqlalchemy import text

from tenantry.db.database import Database
from tenantry.db.session import UnitOfWork
from tenantry.errors import Conflict
from tenantry.feature import Feature
from tenantry.http.policy import public

Work = NamedDependency[UnitOfWork]
Databases = NamedDependency[Database]
INSERT = text("INSERT INTO entries (number, parent, fault) VALUES (:number, :parent, :fault)")
OTHERS = text(
    "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'"
    " AND datname = current_database() AND pid <> pg_backend_pid()"
)
COUNT = text("SELECT count(*) FROM entries WHERE number = :number")
OPEN = public("planted")


def entry(number, parent=None, fault=None):
    return INSERT.bindparams(number=number, parent=parent, fault=fault)


class EntryController(Controller):
    path = "/entries"

    @post("/{number:int}/kept", opt=OPEN)
    async def kept(self, number: FromPath[int], unit_of_work: Work) -> None:
        await unit_of_work.execute(entry(number))

    @post("/{number:int}/orphan", opt=OPEN)
    async def orphan(self, number: FromPath[int], unit_of_work: Work) -> dict[str, int]:
        await unit_of_work.execute(entry(number, parent=0))
        return {"number": number}

    @post("/{number:int}/late", opt=OPEN)
    async def late(self, number: FromPath[int], unit_of_work: Work) -> dict[str, int]:
        await unit_of_work.execute(entry(number, fault="internals"))
        return {"number": number}

    @post("/{number:int}/cut-off", opt=OPEN)
    async def cut_off(self, number: FromPath[int], unit_of_work: Work, database: Databases) -> dict[str, int]:
        await unit_of_work.execute(entry(number))
        pid = await unit_of_work.scalar(text("SELECT pg_backend_pid()"))
        async with database.transaction() as other:
            await other.scalar(text("SELECT pg_terminate_backend(:pid, 2000)").bindparams(pid=pid))
        return {"number": number}

    @post("/{number:int}/refused", opt=OPEN)
    async def refused(self, number: FromPath[int], unit_of_work: Work) -> None:
        await unit_of_work.execute(entry(number))
        raise Conflict

    @post("/{number:int}/broken", opt=OPEN)
    async def broken(self, number: FromPath[int], unit_of_work: Work) -> None:
        await unit_of_work.execute(entry(number))
        raise RuntimeError("internals")

    @post("/{number:int}/remembered", opt=OPEN)
    async def remembered(self, number: FromPath[int], unit_of_work: Work, database: Databases) -> None:
        await unit_of_work.execute(entry(number))
        async with database.transaction() as security:
            await security.execute(entry(number + 1))
        raise Conflict

    @post("/{number:int}/unserializable", opt=OPEN)
    async def unserializable(self, number: FromPath[int], unit_of_work: Work) -> dict[str, object]:
        await unit_of_work.execute(entry(number))
        return {"internals": object()}

    @post("/{number:int}/stream", opt=OPEN)
    async def stream(self, number: FromPath[int], unit_of_work: Work, database: Databases) -> Stream:
        await unit_of_work.execute(entry(number))

        async def parts():
            async with database.transaction() as own:
                stored = await own.scalar(COUNT.bindparams(number=number))
                yield f"stored {stored}, transactions left open {await own.scalar(OTHERS)}"

        return Stream(parts())


feature = Feature("entries", controllers=[EntryController])
"""


@pytest.fixture(scope="module")
def urls(databases: TestDatabases, worker_id: str) -> Iterator[DatabaseUrls]:
    with databases.clone(f"commit_{worker_id}") as urls, psycopg.connect(urls.conninfo) as connection:
        connection.execute(TABLE)
        connection.commit()
        yield urls


@pytest.fixture(scope="module")
async def planted(
    urls: DatabaseUrls, app: Litestar, settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Litestar]:
    """The application with all of its layers, and the slice above as its only one.

    `app` is asked for so that it starts before and ends after: lifespans must nest.
    """
    folder = tmp_path_factory.mktemp("planted")
    write(folder / "planted_commits" / "__init__.py", "")
    write(folder / "planted_commits" / "entries" / "__init__.py", "")
    write(folder / "planted_commits" / "entries" / "plugin.py", PLUGIN)
    sys.path.insert(0, str(folder))
    app = create_app(
        msgspec.structs.replace(settings, database_url=urls.runtime, database_pool_size=2), features="planted_commits"
    )
    async with app.lifespan():
        yield app
    sys.path.remove(str(folder))


@pytest.fixture
async def entries(planted: Litestar) -> AsyncIterator[Api]:
    async with asgi_client(planted) as client:
        yield Api(client)


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def stored(urls: DatabaseUrls) -> set[int]:
    with psycopg.connect(urls.conninfo) as connection:
        return {number for (number,) in connection.execute("SELECT number FROM entries")}


def faults(logs: list[Any]) -> list[str]:
    """What was logged above the level of information."""
    return [log["event"] for log in logs if log["log_level"] not in ("debug", "info")]


async def test_success_is_stored(entries: Api, urls: DatabaseUrls) -> None:
    """What follows is worth something: a route of the same slice that does not fail stores its row."""
    response = await entries.post("/entries/1/kept")

    assert 201 == response.status_code
    assert 1 in stored(urls)


@pytest.mark.parametrize(
    ("number", "how", "status", "code", "logged"),
    [
        (10, "orphan", 409, "conflict", []),
        (11, "late", 500, "internal_error", ["unhandled_error"]),
        (12, "cut-off", 503, "database_unavailable", ["unavailable"]),
    ],
)
async def test_failed_commit_is_no_success(
    entries: Api, urls: DatabaseUrls, number: int, how: str, status: int, code: str, logged: list[str]
) -> None:
    """Where only the commit fails, the answer is the error, nothing is stored, and the fault is logged once."""
    with capture_logs() as logs:
        response = await entries.post(f"/entries/{number}/{how}")

    assert problem(status, code) == response
    assert "internals" not in response.text
    assert number not in stored(urls)
    assert logged == faults(logs)
    assert [status] == [log["status"] for log in logs if log["event"] == "request"]


async def test_the_next_request_after_a_lost_connection_is_served(entries: Api, urls: DatabaseUrls) -> None:
    """A backend that was ended poisons no later request, although the pool is as small as two."""
    lost = [await entries.post(f"/entries/{number}/cut-off") for number in (20, 21, 22)]
    response = await entries.post("/entries/23/kept")

    assert [503] * 3 == [each.status_code for each in lost]
    assert 201 == response.status_code
    assert {20, 21, 22, 23} & stored(urls) == {23}


async def test_refusal_rolls_back(entries: Api, urls: DatabaseUrls) -> None:
    """A handler that writes and then refuses has written nothing."""
    response = await entries.post("/entries/30/refused")

    assert problem(409, "conflict") == response
    assert 30 not in stored(urls)


@pytest.mark.parametrize(("number", "how"), [(40, "broken"), (41, "unserializable")])
async def test_unexpected_error_tells_the_log_and_not_the_client(
    entries: Api, urls: DatabaseUrls, number: int, how: str
) -> None:
    """An exception nobody foresaw is a 500 without a word of it, nothing is stored, and the log has it once."""
    with capture_logs() as logs:
        response = await entries.post(f"/entries/{number}/{how}")

    assert problem(500, "internal_error", detail="Something went wrong here.") == response
    assert "internals" not in response.text
    assert number not in stored(urls)
    assert ["unhandled_error"] == faults(logs)
    assert all(log["exc_info"].__traceback__ for log in logs if log["event"] == "unhandled_error")


async def test_security_effect_outlives_the_error(entries: Api, urls: DatabaseUrls) -> None:
    """What a transaction of its own has written stays, though the answer is an error and the rest is undone."""
    response = await entries.post("/entries/50/remembered")

    assert problem(409, "conflict") == response
    assert {50, 51} & stored(urls) == {51}


async def test_stream_holds_no_transaction(entries: Api) -> None:
    """Before the first byte of a stream its request's transaction is committed and its connection given back."""
    response = await entries.post("/entries/60/stream")

    assert (201, "stored 1, transactions left open 0") == (response.status_code, response.text)


async def test_denial_stores_nothing(api: Api, acme: TenantHandle) -> None:
    """A viewer's attempt to create is refused with the permission's name, and no project is there afterwards."""
    response = await api.as_(acme.viewer).post("/projects", json={"name": "Apollo"})
    projects = await api.as_(acme.owner).get("/projects")

    assert problem(403, "permission_missing", permission="projects:write") == response
    assert [] == projects.json()["items"]
