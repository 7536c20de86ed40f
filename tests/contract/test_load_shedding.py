"""When there is more to do than can be done, what is beyond is refused at once, and probes are answered."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from importlib import import_module
from typing import Any

import msgspec
import pytest
from litestar import Litestar

from tenantry.config import Settings
from tenantry.limits.load import Load
from tests.contract.sockets import Reply, exchange, listening, opened
from tests.faults.planted import Served, planted_slice, serving

PACKAGE = "planted_load"
PLUGIN = """
import asyncio

from litestar import Controller, get

from tenantry.feature import Feature
from tenantry.http.policy import public

RUNS, GATE = asyncio.Event(), asyncio.Event()


class WaitingController(Controller):
    path = "/waiting"

    @get("/long", status_code=204, opt=public("a test"))
    async def long(self) -> None:
        RUNS.set()
        await GATE.wait()

    @get("/short", status_code=204, opt=public("a test"))
    async def short(self) -> None:
        return None

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
def planted(served: Served) -> Any:
    module: Any = import_module(f"{PACKAGE}.planted.plugin")
    module.RUNS, module.GATE = asyncio.Event(), asyncio.Event()
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
    load = Load.current
    assert load is not None
    planted.GATE.set()
    async with listening(served.app) as port:
        for request_ in (SHORT, LONG, head("/nothing"), head("/projects", "POST", "Content-Length: 10\r\n")):
            async with opened(port) as (_, writer):
                writer.write(request_)
                await asyncio.sleep(0.02)
        await exchange(port, head("/waiting/short", more=CLOSING))
        for _ in range(100):
            if not load.running:
                break
            await asyncio.sleep(0.02)

    assert 0 == load.running
