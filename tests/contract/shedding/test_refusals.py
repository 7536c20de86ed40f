"""When there is more to do than can be done, what is beyond is refused at once, and probes are answered."""

import asyncio
from typing import Any

import pytest

from tenantry.http.guarded import is_whole
from tenantry.limits.load import Load
from tests.contract.shedding.heads import BODY, CLOSING, HEALTH, LONG, SHORT, head
from tests.contract.sockets import Reply, exchange, listening, opened
from tests.faults.planted import Served


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
