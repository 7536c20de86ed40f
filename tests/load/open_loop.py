"""An open loop: requests that are due at a rate, whatever became of those before, on connections that are open by then.

How long an answer took is counted from the moment at which its request was due, so neither a service that keeps it
waiting nor a generator that is late can hide it. A request that finds all connections waiting for answers is lost.
"""

import asyncio
import gc
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import count, cycle
from time import perf_counter
from typing import cast

import msgspec

from tests.load.generator import LENGTH, Call, is_whole

__all__ = ("Outcome", "offer")

CONNECTIONS = 1_000
TICK_SECONDS = 0.002
CONNECTING_AT_ONCE = 100
PROBE, PROBE_SECONDS = b"GET /health/live HTTP/1.1\r\nHost: probe\r\n\r\n", 0.05


class Outcome(msgspec.Struct):
    """Of the requests that were due in `seconds`; each of them is one of served, late, refused, wrong and lost."""

    seconds: float
    offered: int = 0
    served: int = 0
    """With a 2xx, in time."""
    late: int = 0
    """With a 2xx, too late to be of use."""
    refused: int = 0
    """With a 503."""
    wrong: dict[str, int] = {}
    """Anything else, by status."""
    milliseconds: list[float] = []
    """What the served took."""
    probes: list[float] = []
    """Milliseconds that probes of its health took, sent one after the other meanwhile."""
    behind: list[float] = []
    """Milliseconds by which requests were sent later than they were due, of which the generator is to blame."""

    @property
    def lost(self) -> int:
        return self.offered - self.served - self.late - self.refused - sum(self.wrong.values())


class Offer:
    def __init__(self, requests: Iterator[bytes], rate: float, in_time: float, outcome: Outcome) -> None:
        self.requests, self.rate, self.in_time, self.outcome = requests, rate, in_time, outcome
        self.idle: deque[Connection] = deque()
        self.ended = False

    async def run(self, port: int) -> None:
        loop = asyncio.get_running_loop()
        connections: list[Connection] = []
        for _ in range(CONNECTIONS // CONNECTING_AT_ONCE):
            opening = [
                loop.create_connection(lambda: Connection(self), "127.0.0.1", port) for _ in range(CONNECTING_AT_ONCE)
            ]
            connections += [connection for _, connection in await asyncio.gather(*opening)]
        self.idle.extend(connections)
        probing = asyncio.create_task(self._probe(port))
        await self._send_all()
        await asyncio.sleep(self.in_time)
        probing.cancel()
        self.ended = True
        for connection in connections:
            connection.transport.abort()

    async def _send_all(self) -> None:
        outcome, began = self.outcome, perf_counter()
        while (passed := perf_counter() - began) < outcome.seconds:
            while outcome.offered < passed * self.rate:
                due = began + outcome.offered / self.rate
                outcome.offered += 1
                if self.idle:
                    outcome.behind.append((perf_counter() - due) * 1e3)
                    self.idle.popleft().send(due, next(self.requests))
            await asyncio.sleep(TICK_SECONDS)

    async def _probe(self, port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            while True:
                began = perf_counter()
                writer.write(PROBE)
                head = await reader.readuntil(b"\r\n\r\n")
                length = LENGTH.search(head)
                await reader.readexactly(int(length[1]) if length else 0)
                assert head[9:12] == b"200", head
                self.outcome.probes.append((perf_counter() - began) * 1e3)
                await asyncio.sleep(PROBE_SECONDS)
        finally:
            writer.close()

    def answered(self, due: float, status: bytes) -> None:
        outcome, seconds = self.outcome, perf_counter() - due
        if status == b"503":
            outcome.refused += 1
        elif status[:1] != b"2":
            outcome.wrong[status.decode("latin-1")] = outcome.wrong.get(status.decode("latin-1"), 0) + 1
        elif seconds <= self.in_time:
            outcome.served += 1
            outcome.milliseconds.append(seconds * 1e3)
        else:
            outcome.late += 1


class Connection(asyncio.Protocol):
    def __init__(self, offer: Offer) -> None:
        self.offer = offer
        self.due = 0.0
        self.received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's do not derive from it

    def send(self, due: float, request: bytes) -> None:
        self.due = due
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        if self.offer.ended:
            return
        received = self.received + data if self.received else data
        if not is_whole(received):
            self.received = received
            return
        self.received = b""
        self.offer.answered(self.due, received[9:12])
        self.offer.idle.append(self)

    def connection_lost(self, error: Exception | None) -> None:
        if self in self.offer.idle:
            self.offer.idle.remove(self)


async def offer(port: int, calls: Sequence[Call], *, rate: float, seconds: float, in_time: float) -> Outcome:
    """Offer `calls` in turn to 127.0.0.1:`port`; `in_time` is how many seconds an answer may take to count."""
    turns, numbers = cycle(calls), count()
    outcome = Outcome(seconds)
    gc.collect()
    gc.disable()
    try:
        await Offer((next(turns).rendered(numbers) for _ in count()), rate, in_time, outcome).run(port)
    finally:
        gc.enable()
    return outcome
