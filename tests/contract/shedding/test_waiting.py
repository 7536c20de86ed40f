"""What finds no room waits on its connection, unparsed, and gets an answer."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from tenantry.http import guarded
from tenantry.limits import load
from tenantry.limits.load import Load
from tests.contract.shedding.heads import BODY, BUSY, IDLE, LONG, SHORT, head
from tests.contract.sockets import Reply, listening, opened
from tests.faults.planted import Served


async def test_who_came_last_is_served_first(busy: int, planted: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What finds no room waits for it without being refused, and what came first waits longest: for room, not for the
    next sweep.
    """
    monkeypatch.setattr(load, "SWEEP_SECONDS", 60.0)
    async with opened(busy) as (first, one), opened(busy) as (second, two), opened(busy) as (third, three):
        for number, writer in enumerate((one, two, three)):
            writer.write(head(f"/waiting/number/{number}"))
            await asyncio.sleep(0.02)
        waiting = len(waiting_now())
        planted.GATE.set()
        replies = [Reply(await reader.readuntil(b"\r\n\r\n")) for reader in (first, second, third)]

    assert 3 == waiting
    assert [204] * 3 == [each.status for each in replies]
    assert [2, 1, 0] == planted.SEEN


async def test_nobody_waits_where_the_service_has_time(busy: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as the event loop is idle, more is let in, although nothing ends: it is not what is short."""
    monkeypatch.setattr(load, "LAG_SECONDS", IDLE)
    async with opened(busy) as (reader, writer):
        writer.write(SHORT)
        reply = Reply(await reader.readuntil(b"\r\n\r\n"))

    assert 204 == reply.status


async def test_who_waits_too_long_is_refused(busy: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everybody gets an answer, also where nothing ends; the connection stays open."""
    monkeypatch.setattr(load, "STALE_SECONDS", 0.05)
    async with opened(busy) as (reader, writer):
        replies = []
        for _ in range(2):
            writer.write(head("/projects", "POST", f"Content-Length: {len(BODY)}\r\n") + BODY)
            replies.append(Reply(await reader.readuntil(b"}")))

    assert [(503, "overloaded")] * 2 == [(each.status, each.code) for each in replies]


async def test_refusals_are_rationed(served: Served, planted: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that says no to all that is too much would do nothing else: after a while, what comes waits."""
    monkeypatch.setattr(load, "LAG_SECONDS", BUSY)
    async with listening(served.app) as port, opened(port) as (_, blocks), opened(port) as (reader, writer):
        blocks.write(LONG)
        await planted.RUNS.wait()
        for _ in range(int(load.REFUSALS_AT_ONCE)):
            writer.write(SHORT)
            assert 503 == Reply(await reader.readuntil(b"}")).status
        writer.write(SHORT)
        await asyncio.sleep(0.05)
        waiting = len(waiting_now())
        planted.GATE.set()
        reply = Reply(await reader.readuntil(b"\r\n\r\n"))

    assert (1, 204) == (waiting, reply.status)


async def test_one_sweep_is_to_come(busy: int, planted: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often the queue is emptied and filled, it is swept in one rhythm, by which the event loop is judged."""
    current = Load.current
    assert current is not None
    sweeps: list[float] = []
    monkeypatch.setattr(load, "SWEEP_SECONDS", 0.05)
    monkeypatch.setattr(current, "_adapt", sweeps.append)
    began = asyncio.get_running_loop().time()
    for _ in range(20):
        async with opened(busy) as (_, writer):
            writer.write(SHORT)
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.005)
    most = (asyncio.get_running_loop().time() - began) / 0.05

    assert 0 < len(sweeps) <= most + 1
    assert min(sweeps) > -0.01


async def test_who_waits_is_not_idle(busy: int, planted: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time that a connection has for its first request does not end while one of it waits."""
    monkeypatch.setattr(guarded, "HEAD_SECONDS", 0.1)
    monkeypatch.setattr(load, "STALE_SECONDS", 60.0)
    async with opened(busy) as (reader, writer):
        writer.write(SHORT)
        await asyncio.sleep(0.3)
        planted.GATE.set()
        reply = Reply(await reader.readuntil(b"\r\n\r\n"))

    assert 204 == reply.status


async def test_who_waits_is_served_before_the_end(busy: int, planted: Any) -> None:
    """A worker that stops answers what waits, as it does what is in work."""
    async with opened(busy) as (reader, writer):
        writer.write(SHORT)
        await asyncio.sleep(0.02)
        [(_, connection)] = waiting_now()
        connection.shutdown()
        planted.GATE.set()
        reply = Reply(await reader.readuntil(b"\r\n\r\n"))

    assert 204 == reply.status
    assert 0 == len(waiting_now())


async def test_what_waits_can_be_given_up_or_added_to(busy: int, planted: Any) -> None:
    """A connection that ends leaves nothing behind; one that sends more is read at once, and answered in order."""
    async with opened(busy) as (_, writer):
        writer.write(SHORT)
        await asyncio.sleep(0.02)
        before = len(waiting_now())
    await asyncio.sleep(0.02)
    after = len(waiting_now())
    async with opened(busy) as (reader, writer):
        for number in range(2):
            writer.write(head(f"/waiting/number/{number}"))
            await asyncio.sleep(0.02)
        replies = [Reply(await reader.readuntil(b"\r\n\r\n")) for _ in range(2)]

    assert (1, 0) == (before, after)
    assert [204] * 2 == [each.status for each in replies]
    assert [0, 1] == planted.SEEN


def waiting_now() -> Sequence[Any]:
    assert Load.current is not None
    return Load.current.waiting
