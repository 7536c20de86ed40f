"""When there is more to do than can be done, what is beyond is refused at once, and probes are answered."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from importlib import import_module
from typing import Any

import msgspec
import pytest
from litestar import Litestar

from tenantry.config import Settings
from tenantry.http import guarded
from tenantry.http.guarded import is_whole
from tenantry.limits import load
from tenantry.limits.load import Load
from tests.contract.sockets import Reply, exchange, listening, opened
from tests.faults.planted import Served, planted_slice, serving

PACKAGE = "planted_load"
PLUGIN = """
import asyncio

from litestar import Controller, get
from litestar.params import FromPath

from tenantry.feature import Feature
from tenantry.http.policy import public

RUNS, GATE = asyncio.Event(), asyncio.Event()
SEEN = []


class WaitingController(Controller):
    path = "/waiting"

    @get("/long", status_code=204, opt=public("a test"))
    async def long(self) -> None:
        RUNS.set()
        await GATE.wait()

    @get("/short", status_code=204, opt=public("a test"))
    async def short(self) -> None:
        return None

    @get("/number/{number:int}", status_code=204, opt=public("a test"))
    async def number(self, number: FromPath[int]) -> None:
        SEEN.append(number)

    @get("/health", status_code=204, opt=public("a test", vital=True))
    async def health(self) -> None:
        return None


feature = Feature("planted", controllers=[WaitingController])
"""
BODY = b'{"name": "x"}'


def head(path: str, method: str = "GET", more: str = "") -> bytes:
    return f"{method} /api/v1{path} HTTP/1.1\r\nHost: x\r\n{more}\r\n".encode()


LONG, SHORT, HEALTH = head("/waiting/long"), head("/waiting/short"), head("/waiting/health")
CLOSING = "Connection: close\r\n"
IDLE, BUSY = 10.0, -1.0
"""Lags of the event loop that count as such, whatever else the machine does."""


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with planted_slice(tmp_path_factory.mktemp(PACKAGE), PACKAGE, PLUGIN) as package:
        yield package


@pytest.fixture
async def served(app: Litestar, settings: Settings, package: str) -> AsyncIterator[Served]:
    """One request at a time."""
    async with serving(msgspec.structs.replace(settings, requests_at_once=1), features=package) as served:
        yield served


@pytest.fixture
async def roomy(app: Litestar, settings: Settings, package: str) -> AsyncIterator[Served]:
    """One request at a time as long as the event loop is busy, and eight requests of which the others wait."""
    async with serving(msgspec.structs.replace(settings, requests_at_once=8), features=package) as served:
        yield served


@pytest.fixture
def planted(package: str) -> Any:
    module: Any = import_module(f"{PACKAGE}.planted.plugin")
    module.RUNS, module.GATE = asyncio.Event(), asyncio.Event()
    module.SEEN = []
    return module


async def test_beyond_the_bound_the_answer_is_a_503_at_once(served: Served, planted: Any) -> None:
    """While one request is in work, others are refused with a problem on connections that stay open; probes are not."""
    async with listening(served.app) as port, opened(port) as (reader, writer), opened(port) as (more, asks):
        writer.write(LONG)
        await planted.RUNS.wait()
        refused = []
        for _ in range(3):
            asks.write(SHORT)
            refused.append(Reply(await more.readuntil(b"}")))
        asks.write(HEALTH)
        health = Reply(await more.readuntil(b"\r\n\r\n"))
        parsed = await exchange(port, head("/projects", "POST", f"{CLOSING}Content-Length: {len(BODY)}\r\n") + BODY)
        planted.GATE.set()
        first = Reply(await reader.readuntil(b"\r\n\r\n"))
        asks.write(SHORT)
        then = Reply(await more.readuntil(b"\r\n\r\n"))

    assert [(503, "overloaded")] * 4 == [(each.status, each.code) for each in (*refused, parsed)]
    assert {"1", "2", "3"} >= {each.headers["retry-after"] for each in (*refused, parsed)}
    assert [204, 204, 204] == [each.status for each in (health, first, then)]
    assert all(each.headers["x-request-id"] in each.body.decode() for each in (*refused, parsed))


async def test_slow_clients_do_not_fill_the_service_up(served: Served, planted: Any) -> None:
    """Who sends a body slowly is not in work, so others are served meanwhile."""
    acme = await served.world.tenant("acme")
    authorized = f"Authorization: Bearer {acme.owner.token}\r\nContent-Type: application/json\r\n"
    async with listening(served.app) as port, opened(port) as (reader, writer):
        writer.write(head("/projects", "POST", f"{authorized}Content-Length: {len(BODY)}\r\n") + BODY[:5])
        await asyncio.sleep(0.05)
        others = [await exchange(port, head("/waiting/short", more=CLOSING)) for _ in range(3)]
        writer.write(BODY[5:])
        slow = Reply(await reader.readuntil(b"}"))

    assert [204] * 3 == [each.status for each in others]
    assert 201 == slow.status


@pytest.mark.parametrize(
    "request_",
    [
        head("/waiting/short") + head("/waiting/short", more=CLOSING),
        head("/waiting/short", more="Connection: close\r\n"),
        head("/waiting/short", more="Content-Length: 0\r\nConnection: close\r\n"),
        head("/waiting/short", "DELETE", CLOSING),
        head("/waiting/short", "HEAD", CLOSING),
    ],
    ids=["two at once", "closing", "with a length", "other method", "HEAD"],
)
async def test_unusual_requests_are_refused_too(served: Served, planted: Any, request_: bytes) -> None:
    """What is not refused without parsing is refused after it."""
    async with listening(served.app) as port, opened(port) as (_, writer):
        writer.write(LONG)
        await planted.RUNS.wait()
        reply = await exchange(port, request_)
        planted.GATE.set()

    assert 503 == reply.status


async def test_nothing_stays_counted(served: Served, planted: Any) -> None:
    """After requests that were served, refused, given up and failed, nothing is in work."""
    current = Load.current
    assert current is not None
    planted.GATE.set()
    async with listening(served.app) as port:
        for request_ in (SHORT, LONG, head("/nothing"), head("/projects", "POST", "Content-Length: 10\r\n")):
            async with opened(port) as (_, writer):
                writer.write(request_)
                await asyncio.sleep(0.02)
        await exchange(port, head("/waiting/short", more=CLOSING))
        for _ in range(100):
            if not current.running:
                break
            await asyncio.sleep(0.02)

    assert 0 == current.running


@pytest.mark.parametrize(
    "framing",
    [
        "Content-Length: 36 \r\n",
        "Content-Length:\t36\r\n",
        "Content-Length : 36\r\n",
        "Content-Length: +36\r\n",
        "Content-Length: 0\r\nContent-Length: 36\r\n",
        "Content-Length: 36\r\nX-Y: z\r\nContent-Length: 0\r\n",
        "X-Y: z\r\n Content-Length: 36\r\n",
        "Transfer-Encoding : chunked\r\n",
        "X-Y: z\nContent-Length: 36\r\n",
    ],
)
def test_where_a_request_ends_is_beyond_doubt(framing: str) -> None:
    """What is refused unparsed has a length that everybody reads alike: else its body could count as a request."""
    doubtful = head("/waiting/short", "POST", framing)

    assert not is_whole(doubtful)
    assert is_whole(head("/waiting/short", "POST", "Content-Length: 0\r\n"))


async def test_body_is_no_request(served: Served, planted: Any) -> None:
    """A body that follows the refusal of its head is read as what it is, however its length was written."""
    hidden = head("/waiting/number/7")
    async with listening(served.app) as port, opened(port) as (_, blocks), opened(port) as (reader, writer):
        blocks.write(LONG)
        await planted.RUNS.wait()
        writer.write(head("/waiting/short", "POST", f"Content-Length: {len(hidden)} \r\n"))
        refused = Reply(await reader.readuntil(b"}"))
        planted.GATE.set()
        await asyncio.sleep(0.05)
        writer.write(hidden)
        await asyncio.sleep(0.1)

    assert refused.status in (400, 503)
    assert [] == planted.SEEN


@pytest.fixture
async def busy(roomy: Served, planted: Any, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
    """The port of a service whose one request runs until the gate opens."""
    monkeypatch.setattr(load, "LAG_SECONDS", BUSY)
    async with listening(roomy.app) as port, opened(port) as (_, writer):
        writer.write(LONG)
        await planted.RUNS.wait()
        yield port
        planted.GATE.set()


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
