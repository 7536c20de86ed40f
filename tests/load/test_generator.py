"""The bundled generator counts right: the benchmark is worth what its generator is."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import cast

from tests.load.generator import Call, Sample, call, drive

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody"
REFUSED = b"HTTP/1.1 409 Conflict\r\ncontent-length: 0\r\n\r\n"


class Server(asyncio.Protocol):
    """Answers each request with pieces, each in a packet of its own; without pieces it hangs up."""

    def __init__(self, answer: Callable[[bytes], list[bytes]], received: list[bytes]) -> None:
        self.answer, self.received, self.open = answer, received, True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self.received.append(data)
        self.send(self.answer(data))

    def send(self, pieces: list[bytes]) -> None:
        if not pieces:
            self.transport.close()
        elif self.open:
            self.transport.write(pieces[0])
            if pieces[1:]:
                asyncio.get_running_loop().call_later(0.001, self.send, pieces[1:])

    def connection_lost(self, error: Exception | None) -> None:
        self.open = False


@asynccontextmanager
async def answering(answer: Callable[[bytes], list[bytes]]) -> AsyncIterator[tuple[int, list[bytes]]]:
    """The server's port, and the requests it got."""
    received: list[bytes] = []
    server = await asyncio.get_running_loop().create_server(lambda: Server(answer, received), "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], received
        await asyncio.sleep(0.05)  # until it has seen that the clients are gone


async def driven(port: int, calls: list[Call], *, number: int = 0) -> Sample:
    return await drive(port, calls, clients=2, seconds=0.2, warm_up=0.05, number=number)


async def test_answer_in_pieces_counts_once() -> None:
    """An answer counts when it is complete, however many packets it comes in, and not in the warm-up."""
    async with answering(lambda _: [OK[:20], OK[20:-2], OK[-2:]]) as (port, received):
        sample = await driven(port, [call("GET", "/", "host")])

    assert {} == sample.failures
    assert 0 < sample.requests == len(sample.latencies) < len(received)
    assert min(sample.latencies) >= 1_000  # microseconds, from the first piece to the last


async def test_other_statuses_are_failures() -> None:
    """What is no success is counted apart, by its status."""
    async with answering(lambda request: [REFUSED if b"/bad" in request else OK]) as (port, _):
        sample = await driven(port, [call("GET", "/good", "host"), call("GET", "/bad", "host")])

    assert ["409"] == list(sample.failures)
    assert 0 < sample.requests
    assert 0 < sample.failures["409"]


async def test_lost_connection_is_a_failure() -> None:
    """A server that hangs up does not make a quiet measurement."""
    async with answering(lambda _: []) as (port, _):
        sample = await driven(port, [call("GET", "/", "host")])

    assert ({"connection lost": 2}, 0) == (sample.failures, sample.requests)


async def test_every_number_is_sent_once() -> None:
    """The number makes each body unlike every other, and the length says how long it is."""
    async with answering(lambda _: [OK]) as (port, received):
        await driven(port, [call("POST", "/", "host", "token", '{"name": "n {number}"}')], number=7)
    bodies = [request.partition(b"\r\n\r\n")[2] for request in received]

    assert len(bodies) == len(set(bodies))
    assert b'{"name": "n 000000000007"}' == min(bodies)
