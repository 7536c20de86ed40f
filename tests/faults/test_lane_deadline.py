"""Whoever stops waiting, and a connection on which nothing comes back, leave the lane in step."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from litestar import Litestar
from psycopg import AsyncConnection

from tenantry.db.lane import fast_lane
from tenantry.db.lane.fast_lane import FastLane, LaneClosed, OutcomeUnknown
from tenantry.db.lane.query import Terms
from tenantry.ids import new_id
from tenantry.testing.databases import DatabaseUrls, TestDatabases
from tests.faults.lanes import asked, conninfo_of, open_lane, settle, statement
from tests.faults.naps import SLACK, plant_naps
from tests.faults.wire import open_wire

ONE = statement("SELECT '1'")
NAP = statement("SELECT pg_sleep($1::float)::text", "0.5")


@pytest.fixture(scope="module")
def urls(app: Litestar, databases: TestDatabases, worker_id: str) -> Iterator[DatabaseUrls]:
    with databases.clone(f"lane_deadline_{worker_id}") as urls:
        plant_naps(urls)
        yield urls


async def test_cancelled_before_it_is_sent(urls: DatabaseUrls) -> None:
    """A write that is cancelled in the turn of the event loop that submitted it never happens."""
    nap_id = str(new_id())
    write = statement("INSERT INTO kept_naps VALUES ($1::uuid, 0)", nap_id)
    async with open_lane(conninfo_of(urls.runtime), "unsent") as lane:
        task = asyncio.create_task(lane.run([write], writes=True))
        asyncio.get_running_loop().call_soon(task.cancel)
        with suppress(asyncio.CancelledError):
            await task
        counted = await lane.run(
            [statement("SELECT count(*)::text FROM kept_naps WHERE id = $1::uuid", nap_id)], writes=False
        )

    assert ("0",) == asked(counted[0])


async def test_silent_connection_is_given_up(urls: DatabaseUrls, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing comes back any more, writes are told that nobody knows, reads go elsewhere, and it opens anew."""
    monkeypatch.setattr(fast_lane, "STUCK_SECONDS", 0.5)
    async with (
        open_wire(conninfo_of(urls.runtime), 1) as wire,
        open_lane(wire.conninfo, "silent", connections=1) as lane,
    ):
        await lane.run([ONE], writes=False)
        wire.delivers.clear()
        began = time.monotonic()
        both = asyncio.gather(lane.run([ONE], writes=True), lane.run([ONE], writes=False), return_exceptions=True)
        ends = await asyncio.wait_for(both, 10)
        seconds = time.monotonic() - began
        wire.delivers.set()
        reopened = await settle(True, lambda: lane.takes(object()))
        again = asked((await lane.run([ONE], writes=False))[0])

    assert [OutcomeUnknown, LaneClosed] == [type(end) for end in ends]
    assert 0.5 < seconds < 0.5 + 1 + SLACK
    assert (True, ("1",)) == (reopened, again)


async def test_slow_connection_is_not_given_up(urls: DatabaseUrls, monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as answers come, whoever has waited longest may have waited for long."""
    monkeypatch.setattr(fast_lane, "STUCK_SECONDS", 1.0)
    async with open_lane(conninfo_of(urls.runtime), "slow", connections=1) as lane:
        answers = await asyncio.gather(*(lane.run([NAP, ONE], writes=True) for _ in range(6)))

    assert [("1",)] * 6 == [asked(answer[1]) for answer in answers]


async def test_connecting_cannot_hang(urls: DatabaseUrls, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that accepts and then says nothing holds up no start, and is tried again."""
    monkeypatch.setattr(fast_lane, "STUCK_SECONDS", 0.3)
    hangs = [True]

    async def connect() -> tuple[AsyncConnection[Any], Terms]:
        if hangs.pop() if hangs else False:
            await asyncio.Event().wait()
        return await AsyncConnection.connect(conninfo_of(urls.runtime), autocommit=True), Terms()

    lane = FastLane(connect, connections=1, queue=5)
    async with asyncio.timeout(3):
        await lane.start()
        opened = await settle(True, lambda: lane.takes(object()))
    await lane.stop()

    assert opened
