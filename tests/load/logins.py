"""Sixteen people log in at once, with real argon2id, while somebody asks every 2 ms whether the process is there.

The longest of these answers, less what one takes without logins, is how long the event loop stood still: seen from
outside, as another client of the same process would.
"""

import asyncio
import re
from collections.abc import Sequence
from statistics import median
from time import perf_counter

import msgspec
import uvloop

from tests.load.dataset import Member
from tests.load.generator import call
from tests.load.machine import on_cores
from tests.load.processes import Running
from tests.load.rounds import Failed, percentile
from tests.load.scenarios import LIVE, login

__all__ = ("LOGINS", "Burst", "burst")

LOGINS = 16
EVERY_MILLISECONDS = 2.0
CALM_SECONDS = 0.3
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class Burst(msgspec.Struct, frozen=True):
    """In milliseconds."""

    calm: float
    """The median answer when nobody logs in."""
    stall_p99: float
    stall_worst: float
    login: float
    """What the median person waited."""
    last_login: float


class Connection:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def open(cls, port: int) -> "Connection":
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def ask(self, request: bytes) -> float:
        """Milliseconds until the answer; raises `Failed` when it is not a success."""
        sent = perf_counter()
        self.writer.write(request)
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = LENGTH.search(head)
        await self.reader.readexactly(int(length[1]) if length else 0)
        if head[9:10] != b"2":
            raise Failed(f"{request.splitlines()[0]!r}: {head.splitlines()[0]!r}")
        return (perf_counter() - sent) * 1000


def burst(server: Running, people: Sequence[Member], cores: frozenset[int]) -> Burst:
    with on_cores(cores):
        return uvloop.run(_burst(server, people))


async def _burst(server: Running, people: Sequence[Member]) -> Burst:
    requests = [login(member, server.host).head for member in people]
    connections = [await Connection.open(server.port) for _ in (*requests, None)]
    *of_people, of_prober = connections
    probing = Probing(of_prober, call("GET", LIVE, server.host).head)
    try:
        await asyncio.sleep(CALM_SECONDS)
        calm = median(probing.waits)
        probing.waits.clear()
        logins = await asyncio.gather(*(c.ask(request) for c, request in zip(of_people, requests, strict=True)))
        waits = await probing.stop()
    finally:
        probing.task.cancel()
        for connection in connections:
            connection.writer.close()
    stalls = sorted(wait - calm for wait in with_the_unasked(waits))
    return Burst(calm, percentile(stalls, 0.99), stalls[-1], median(logins), max(logins))


class Probing:
    """Asks again and again, from now on."""

    def __init__(self, connection: Connection, request: bytes) -> None:
        self.waits: list[float] = []
        self.task = asyncio.create_task(self._ask(connection, request))
        self.goes_on = True

    async def stop(self) -> list[float]:
        self.goes_on = False
        await self.task
        return self.waits

    async def _ask(self, connection: Connection, request: bytes) -> None:
        while self.goes_on:
            self.waits.append(await connection.ask(request))
            await asyncio.sleep(EVERY_MILLISECONDS / 1000)


def with_the_unasked(waits: Sequence[float]) -> list[float]:
    """Who waits for an answer does not ask; those who would have asked meanwhile had waited the rest of the time."""
    every = EVERY_MILLISECONDS
    return [wait - passed * every for wait in waits for passed in range(int(wait / every) + 1)]
