"""`just overload`: what is still served in time when more comes than can be served.

A closed loop finds the capacity; an open loop then offers half of it to five times as much. A request counts when it is
answered with 2xx within a second of the moment at which it was due. The service has one core, PostgreSQL and the
generator have the other. Only ratios within a round mean something: machines change from minute to minute.
"""

import os
import resource
import sys
from os import getloadavg
from pathlib import Path
from tempfile import TemporaryDirectory
from time import sleep

import msgspec
import rich_click as click
import uvloop
from rich.console import Console

from features.projects.tests.factories import ProjectFactory
from tenantry.app import create_app
from tenantry.config import Settings
from tenantry.feature import API_PREFIX
from tenantry.security.plugin import SecurityPlugin
from tenantry.testing.databases import TestDatabases
from tenantry.testing.service import running_service
from tenantry.testing.world import World
from tests.load.generator import Call, call, drive
from tests.load.machine import computed_seconds, layout, on_cores, pin, workers_of
from tests.load.open_loop import Outcome, offer
from tests.load.overload_report import Point, Round, plot, table, wrong
from tests.load.processes import started, wait_for

URL = "http://overload.example"  # who issues the token
TIMES = (0.5, 1, 2, 3, 5)
IN_TIME_SECONDS, PAUSE_SECONDS, CLIENTS = 1.0, 1.0, 32
TARGET = 0.8
UNBOUNDED = 100_000


@click.command()
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True)
@click.option("--seconds", type=click.FloatRange(0.5, 10), default=3.0, show_default=True, help="Of each measurement.")
@click.option("--unbounded", is_flag=True, help="As it would be without a bound on requests in work.")
@click.option("--output", type=click.Path(path_type=Path), default=Path(".bench"), show_default=True)
def main(*, rounds: int, seconds: float, unbounded: bool, output: Path) -> None:
    """Offer more than can be served; print a table, write overload.json and overload.png."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # the service inherits it
    with TemporaryDirectory(prefix="tenantry-", ignore_cleanup_errors=True) as home:
        databases = TestDatabases(Path(home), "overload", None)
        with databases.server(), databases.clone("overload") as urls:
            settings = Settings(home=home, database_url=urls.runtime, public_url=URL, log_format="json")
            if unbounded:
                settings = msgspec.structs.replace(settings, requests_at_once=UNBOUNDED)
            path, token = uvloop.run(question(settings))
            found = [measured(settings, Path(home), path, token, seconds) for _ in range(rounds)]
    output.mkdir(parents=True, exist_ok=True)
    (output / "overload.json").write_bytes(msgspec.json.format(msgspec.json.encode(found)))
    plot(found, output / "overload.png")
    console = Console()
    console.width = max(console.width, 130)
    console.print(table(found), *wrong(found), sep="\n")
    kept = [each.kept for each in found]
    console.print(
        f"At {TIMES[-1]:g} times the capacity, of the peak: {', '.join(f'{share:.0%}' for share in kept)};"
        f" of what the service computes: {', '.join(f'{each.kept_computing:.0%}' for each in found)}."
    )
    sys.exit(sorted(kept)[len(kept) // 2] < TARGET)


async def question(settings: Settings) -> tuple[str, str]:
    """The path of a project, and a token for it."""
    app = create_app(settings)
    async with app.lifespan():
        world = World(app.state.database, app.plugins.get(SecurityPlugin).tokens, "none")
        acme = await world.tenant("acme")
        project = await acme.has(ProjectFactory)
        return f"{API_PREFIX}/projects/{project.id}", acme.owner.token


def measured(settings: Settings, home: Path, path: str, token: str, seconds: float) -> Round:
    load = getloadavg()[0]
    with running_service(settings, home, TENANTRY_PUBLIC_URL=URL) as service, on_cores(layout().generator):
        pin(service.process.pid, layout().server)
        (worker,) = workers_of(service.process.pid)
        port = int(service.url.rpartition(":")[2])
        request = call("GET", path, f"127.0.0.1:{port}", token)
        before = computed_seconds(worker)
        sample = uvloop.run(drive(port, [request], clients=CLIENTS, seconds=seconds, warm_up=1))
        share = (computed_seconds(worker) - before) / (seconds + 1)
        capacity = sample.requests / seconds
        points = [offered(port, worker, request, capacity, times, seconds) for times in TIMES]
    return Round(load, capacity, share / capacity, points, alone(home, request, capacity * TIMES[-1], seconds))


def offered(port: int, worker: int, request: Call, capacity: float, times: float, seconds: float) -> Point:
    before = computed_seconds(worker)
    rate = capacity * times
    outcome = uvloop.run(offer(port, [request], rate=rate, seconds=seconds, in_time=IN_TIME_SECONDS))
    computed = computed_seconds(worker) - before
    sleep(PAUSE_SECONDS)
    return Point(times, outcome, computed, getloadavg()[0])


def alone(home: Path, request: Call, rate: float, seconds: float) -> Outcome:
    """What the generator makes of the largest offer where all answers come at once."""
    command = [sys.executable, "-m", "tests.load.stub", "{port}"]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    with started(command, environment, home / "stub", layout().server) as stub, on_cores(layout().generator):
        wait_for(stub, "/")
        return uvloop.run(offer(stub.port, [request], rate=rate, seconds=seconds, in_time=IN_TIME_SECONDS))


if __name__ == "__main__":
    main()
