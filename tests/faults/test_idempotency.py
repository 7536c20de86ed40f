"""With an idempotency key there is exactly one effect, at whatever step the connection dies or the caller gives up."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import psycopg
import pytest
from psycopg import OperationalError

from tenantry.db.transaction import Transaction
from tenantry.http.visit import Visit
from tenantry.testing import Api, TenantHandle
from tenantry.testing.databases import DatabaseUrls
from tests.faults.lanes import kill_backends

HELD = """
    SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database
    WHERE locktype = 'advisory' AND d.datname = current_database()
"""
STEPS = ("begin", "execute", "commit")
Fault = Callable[[Transaction, str], Awaitable[None]]


class Steps:
    """Each trip of ordinary sessions to the database; at one of them something happens, before it or after it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.taken: list[str] = []
        self._strike: tuple[int, bool, Fault] | None = None
        for name in STEPS:
            monkeypatch.setattr(Transaction, name, self._watched(name, getattr(Transaction, name)))

    def strike(self, at: int, *, afterwards: bool, fault: Fault) -> None:
        self.taken.clear()
        self._strike = (at, afterwards, fault)

    def _watched(self, name: str, original: Any) -> Any:
        async def step(transaction: Transaction, *arguments: Any, **options: Any) -> Any:
            self.taken.append(name)
            number = len(self.taken) - 1
            await self._struck(number, False, transaction)
            result = await original(transaction, *arguments, **options)
            await self._struck(number, True, transaction)
            return result

        return step

    async def _struck(self, number: int, afterwards: bool, transaction: Transaction) -> None:
        if self._strike is not None and self._strike[:2] == (number, afterwards):
            fault, self._strike = self._strike[2], None
            await fault(transaction, "committed" if afterwards and self.taken[-1] == "commit" else "")


def losing(conninfo: str) -> Fault:
    """The backend dies. What it has committed stays, and nobody hears of it."""

    async def lose(transaction: Transaction, step: str) -> None:
        connection = transaction._connection.sync_connection
        if connection is not None:
            driver: Any = connection.connection.driver_connection
            await kill_backends(conninfo, "pid = %s", driver.info.backend_pid)
        if step == "committed":
            # As SQLAlchemy does when it is the driver that says so.
            await transaction._connection.invalidate()
            raise OperationalError("the connection is lost")

    return lose


async def give_up(*_: object) -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await asyncio.sleep(0)


async def create(api: Api, acme: TenantHandle, name: str) -> httpx.Response | None:
    """None where it was given up."""
    sent = asyncio.create_task(
        api.as_(acme.member).post("/projects", json={"name": name}, headers={"Idempotency-Key": name})
    )
    await asyncio.wait([sent])
    return None if sent.cancelled() else sent.result()


async def steps_of_one(api: Api, acme: TenantHandle, steps: Steps) -> int:
    """How many there are when nothing happens."""
    steps.taken.clear()
    answer = await create(api, acme, "undisturbed")

    assert answer is not None and answer.status_code == 201
    return len(steps.taken)


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Steps:
    return Steps(monkeypatch)


@pytest.mark.parametrize("repeats", [True, False], ids=["the service repeats", "the client repeats"])
async def test_lost_at_every_step(
    api: Api,
    acme: TenantHandle,
    steps: Steps,
    database_urls: DatabaseUrls,
    monkeypatch: pytest.MonkeyPatch,
    repeats: bool,
) -> None:
    """Whoever asks again gets 201, and there is one project; where a session had begun, the service asks for them."""
    if not repeats:
        monkeypatch.setattr(Visit, "repeats", lambda *_: False)
    count = await steps_of_one(api, acme, steps)
    first, last, made = [], [], set()

    for number in range(count):
        for afterwards in (False, True):
            name = f"project-{number}-{afterwards}"
            steps.strike(number, afterwards=afterwards, fault=losing(database_urls.conninfo))
            answers = [await create(api, acme, name) for _ in range(2)]
            first.append(answers[0].status_code if answers[0] else None)
            last.append(answers[1].status_code if answers[1] else None)
            made.add(name)
    listed = (await api.as_(acme.member).get("/projects?limit=200")).json()["items"]

    assert count >= 6
    assert [201] * count * 2 == last
    assert ({201} if repeats else {503}) == set(first[2:])
    assert sorted([*made, "undisturbed"]) == sorted(item["name"] for item in listed)


async def test_given_up_at_every_step(api: Api, acme: TenantHandle, steps: Steps) -> None:
    """A caller who leaves and comes back with the same key finds one project, kept by then or made now."""
    count = await steps_of_one(api, acme, steps)
    last, made = [], set()

    for number in range(count):
        for afterwards in (False, True):
            name = f"project-{number}-{afterwards}"
            steps.strike(number, afterwards=afterwards, fault=give_up)
            assert await create(api, acme, name) is None
            answer = await create(api, acme, name)
            last.append(answer.status_code if answer else None)
            made.add(name)
    listed = (await api.as_(acme.member).get("/projects?limit=200")).json()["items"]

    assert [201] * count * 2 == last
    assert sorted([*made, "undisturbed"]) == sorted(item["name"] for item in listed)


async def test_nothing_holds_a_key_afterwards(
    api: Api, acme: TenantHandle, steps: Steps, database_urls: DatabaseUrls
) -> None:
    """After a request was given up no lock of its key is left in the database."""
    steps.strike(3, afterwards=True, fault=give_up)
    await create(api, acme, "left")
    with psycopg.connect(database_urls.conninfo) as administrator:
        held = administrator.execute(HELD).fetchone()

    assert (0,) == held
