"""The bundled load generator: closed loop, keep-alive, rendered requests, one thread of uvloop.

Every client sends the next request of a list as soon as it has the answer to its last one. Its cost is that of one
`write`, one search for the length of the body and one addition to a list, so that it lets a server of one core be the
bottleneck; `tests/load/benchmark.py` measures how much it can deliver, and prints that.
"""

import asyncio
import gc
import re
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import count, cycle
from time import perf_counter
from typing import cast

import msgspec

__all__ = ("Call", "Sample", "call", "drive")

NUMBER = "{number}"
DIGITS = 12
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
PATIENCE_SECONDS = 10


class Call(msgspec.Struct, frozen=True):
    """A request on the wire; where it has a `tail`, a number of 12 digits that no other request has goes before it."""

    head: bytes
    tail: bytes | None = None

    def rendered(self, numbers: Iterator[int]) -> bytes:
        return self.head if self.tail is None else b"%b%012d%b" % (self.head, next(numbers), self.tail)


class Sample(msgspec.Struct):
    """What one measurement saw."""

    seconds: float = 0.0
    requests: int = 0
    latencies: "array[int]" = msgspec.field(default_factory=lambda: array("I"))
    """In microseconds, in no order."""
    failures: dict[str, int] = {}
    """By status or what else went wrong; those are not among the requests."""
    computed_seconds: float = 0.0
    """By the server, during the measurement."""
    others_busy: float = 0.0
    """The share of the time that the other cores computed, PostgreSQL and the generator."""


def is_whole(answer: bytes) -> bool:
    head = answer.find(b"\r\n\r\n")
    length = LENGTH.search(answer, 0, head) if head >= 0 else None
    return length is not None and len(answer) >= head + 4 + int(length[1])


def call(method: str, path: str, host: str, token: str = "", body: str = "") -> Call:
    """`{number}` in the body, at most once, becomes the number."""
    length = len(body.encode()) + (DIGITS - len(NUMBER) if NUMBER in body else 0)
    headers = {
        "Host": host,
        **({"Authorization": f"Bearer {token}"} if token else {}),
        **({"Content-Type": "application/json", "Content-Length": str(length)} if body else {}),
    }
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", body]
    head, _, tail = "\r\n".join(lines).partition(NUMBER)
    return Call(head.encode(), tail.encode() if NUMBER in body else None)


class Load:
    """One measurement under way: what all clients share."""

    def __init__(self, calls: Sequence[Call], number: int) -> None:
        self.calls, self.numbers = cycle(calls), count(number)
        self.begin = self.end = float("inf")
        self.latencies = array("I")
        self.failures: Counter[str] = Counter()

    def next(self) -> bytes:
        return next(self.calls).rendered(self.numbers)

    def answered(self, sent: float, status: bytes) -> bool:
        """Count an answer; whether to go on."""
        moment = perf_counter()
        if status[:1] != b"2":
            self.failures[status.decode("latin-1")] += 1
        elif self.begin <= moment < self.end:
            self.latencies.append(int((moment - sent) * 1e6))
        return moment < self.end


class Client(asyncio.Protocol):
    def __init__(self, load: Load) -> None:
        self.load, self.idle = load, asyncio.get_running_loop().create_future()
        self.received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's do not derive from it
        self.send()

    def send(self) -> None:
        request = self.load.next()
        self.sent = perf_counter()
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        received = self.received + data if self.received else data
        if not is_whole(received):
            self.received = received
            return
        self.received = b""
        if self.load.answered(self.sent, received[9:12]):
            self.send()
        else:
            self.transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        if perf_counter() < self.load.end:
            self.load.failures["connection lost"] += 1
        if not self.idle.done():
            self.idle.set_result(None)


async def drive(
    port: int, calls: Sequence[Call], *, clients: int, seconds: float, warm_up: float, number: int = 0
) -> Sample:
    """Load 127.0.0.1:`port` with `calls`, over and over, for `seconds` after `warm_up` seconds that do not count.

    `number` is the first of the numbers that requests get.
    """
    gc.collect()
    gc.disable()
    loop, load = asyncio.get_running_loop(), Load(calls, number)
    connections = [await loop.create_connection(lambda: Client(load), "127.0.0.1", port) for _ in range(clients)]
    load.begin = perf_counter() + warm_up
    load.end = load.begin + seconds
    try:
        await asyncio.sleep(warm_up + seconds)
        _, pending = await asyncio.wait([client.idle for _, client in connections], timeout=PATIENCE_SECONDS)
    finally:
        gc.enable()
        for transport, _ in connections:
            transport.abort()
    if pending:
        load.failures[f"no answer within {PATIENCE_SECONDS} s"] += len(pending)
    return Sample(seconds, len(load.latencies), load.latencies, dict(load.failures))
