"""How much is served in time when more comes than can be served: with a bound on what is in work, and without one.

    .venv/bin/python -m tests.load.overload

Open loop: requests are due at their times, whatever became of those before. One counts when it is answered with 200
within a second of the moment at which it was due. The curve goes to `.bench/overload.png`.
"""

import asyncio
import resource
import tempfile
from collections import deque
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import cast

import msgspec
import uvloop
from rich.console import Console
from rich.table import Table

from features.projects.tests.factories import ProjectFactory
from tenantry.app import create_app
from tenantry.config import Settings
from tenantry.feature import API_PREFIX
from tenantry.security.plugin import SecurityPlugin
from tenantry.testing.databases import TestDatabases
from tenantry.testing.service import running_service
from tenantry.testing.world import World
from tests.load.generator import Call, call, drive
from tests.load.machine import layout, on_cores, pin

TIMES = (1, 2, 3, 4, 5)
SECONDS, IN_TIME_SECONDS, CLIENTS, ROUNDS = 5.0, 1.0, 32, 3
CONNECTIONS = 1_000
TICK, PAUSE_SECONDS = 0.002, 2.0
VARIANTS = {"bounded": 500, "unbounded": 100_000}
URL = "http://overload.example"  # who issues the token
IMAGE = Path(".bench/overload.png")


class Offer:
    """Requests that are due at a rate, on connections that are open by then: clients are there, their requests come."""

    def __init__(self, port: int, request: bytes, rate: float) -> None:
        self.port, self.request, self.rate = port, request, rate
        self.idle: deque[Connection] = deque()
        self.connections: list[Connection] = []
        self.ended = False
        self.served = self.refused = self.late = self.lost = self.offered = 0

    async def run(self) -> None:
        await self._open()
        began = perf_counter()
        while (passed := perf_counter() - began) < SECONDS:
            while self.offered < passed * self.rate:
                due = began + self.offered / self.rate
                self.offered += 1
                if self.idle:
                    self.idle.popleft().send(due)
                else:
                    self.lost += 1
            await asyncio.sleep(TICK)
        await asyncio.sleep(IN_TIME_SECONDS)
        self.ended = True
        for connection in self.connections:
            connection.transport.abort()
        await asyncio.sleep(PAUSE_SECONDS)

    async def _open(self) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(CONNECTIONS):
            _, connection = await loop.create_connection(lambda: Connection(self), "127.0.0.1", self.port)
            self.connections.append(connection)
            self.idle.append(connection)


class Connection(asyncio.Protocol):
    def __init__(self, offer: Offer) -> None:
        self.offer = offer
        self.due = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def send(self, due: float) -> None:
        self.due = due
        self.transport.write(self.offer.request)

    def data_received(self, data: bytes) -> None:
        # An answer to this request is small, and written at once.
        offer = self.offer
        if offer.ended:
            return
        if data[9:12] != b"200":
            offer.refused += 1
        elif perf_counter() - self.due <= IN_TIME_SECONDS:
            offer.served += 1
        else:
            offer.late += 1
        self.due = 0.0
        offer.idle.append(self)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.offer.ended:
            return
        if self.due:
            self.offer.lost += 1
        elif self in self.offer.idle:
            self.offer.idle.remove(self)


async def closed(port: int, request: Call) -> float:
    sample = await drive(port, [request], clients=CLIENTS, seconds=SECONDS, warm_up=1)
    return sample.requests / SECONDS


async def offered(port: int, request: bytes, rate: float) -> Offer:
    offer = Offer(port, request, rate)
    await offer.run()
    return offer


async def question(settings: Settings) -> tuple[str, str]:
    """The path of a project, and a token for it."""
    app = create_app(settings)
    async with app.lifespan():
        world = World(app.state.database, app.plugins.get(SecurityPlugin).tokens, "none")
        acme = await world.tenant("acme")
        project = await acme.has(ProjectFactory)
        return f"{API_PREFIX}/projects/{project.id}", acme.owner.token


def measured(settings: Settings, home: Path) -> dict[str, list[tuple[float, list[Offer]]]]:
    """By variant, for each round the capacity and what became of 1 to 5 times as much; the variants take turns."""
    path, token = uvloop.run(question(settings))
    found: dict[str, list[tuple[float, list[Offer]]]] = {name: [] for name in VARIANTS}
    for round_ in range(ROUNDS):
        for name, most in VARIANTS.items():
            folder = home / f"{name}-{round_}"
            folder.mkdir()
            served = msgspec.structs.replace(settings, requests_at_once=most)
            with running_service(served, folder, TENANTRY_PUBLIC_URL=URL) as service, on_cores(layout().generator):
                pin(service.process.pid, layout().server)
                port = int(service.url.rpartition(":")[2])
                request = call("GET", path, f"127.0.0.1:{port}", token)
                capacity = uvloop.run(closed(port, request))
                offers = [uvloop.run(offered(port, request.head, capacity * times)) for times in TIMES]
                found[name].append((capacity, offers))
    return found


def share(rounds: list[tuple[float, list[Offer]]], number: int) -> float:
    """What was served in time, in capacities."""
    return median(offers[number].served / SECONDS / capacity for capacity, offers in rounds)


def plot(found: dict[str, list[tuple[float, list[Offer]]]]) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    for name, rounds in found.items():
        curve = axes.plot(TIMES, [share(rounds, number) for number in range(len(TIMES))], marker="o", label=name)
        for capacity, offers in rounds:
            values = [offer.served / SECONDS / capacity for offer in offers]
            axes.plot(TIMES, values, color=curve[0].get_color(), alpha=0.25)
    axes.set(xlabel="offered, in capacities", ylabel=f"answered within {IN_TIME_SECONDS:g} s, in capacities", ylim=0)
    axes.set_title("Goodput under overload, open loop")
    axes.legend()
    IMAGE.parent.mkdir(exist_ok=True)
    figure.savefig(IMAGE, dpi=110)


def main() -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # the service inherits it
    with tempfile.TemporaryDirectory(prefix="tenantry-") as home:
        databases = TestDatabases(Path(home), "overload", None)
        with databases.server(), databases.clone("overload") as urls:
            settings = Settings(home=home, database_url=urls.runtime, public_url=URL, log_format="json")
            found = measured(settings, Path(home))
    table = Table("offered", *(f"{name}: in time, refused, late, lost" for name in found))
    for number, times in enumerate(TIMES):
        cells = []
        for rounds in found.values():
            total = {
                what: sum(getattr(offers[number], what) for _, offers in rounds)
                for what in ("offered", "refused", "late", "lost")
            }
            parts = ", ".join(f"{total[what] / total['offered']:.0%}" for what in ("refused", "late", "lost"))
            cells.append(f"{share(rounds, number):.2f}, {parts}")
        table.add_row(f"{times} x", *cells)
    capacities = ", ".join(
        f"{name} {median(capacity for capacity, _ in rounds):,.0f}/s" for name, rounds in found.items()
    )
    Console(width=140).print(table, f"capacity: {capacities}; the curve: {IMAGE}")
    plot(found)


if __name__ == "__main__":
    main()
