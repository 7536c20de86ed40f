"""`just profile`: where the time of one route goes in the service as it ships, under load.

Only what computes is sampled: a worker that waits for PostgreSQL costs nothing here.
"""

import asyncio
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic

import httpx
import msgspec
import rich_click as click
from rich.console import Console

from tenantry.config import Settings
from tenantry.db.database import Database
from tenantry.db.engine import create_engine, runtime_url
from tenantry.feature import API_PREFIX
from tenantry.security.tokens import TokenService
from tenantry.testing.databases import TestDatabases
from tenantry.testing.service import LiveService, environment_of, free_port, stop, wait_until_ready
from tenantry.testing.world import World
from tests.load.generator import Call, call, drive
from tests.load.profile_graph import flame_graph
from tests.load.profile_layers import table_of
from tests.load.profile_sampler import Samples

PROJECTS = f"{API_PREFIX}/projects"
ROUTES = ("get", "list", "post", "patch")
ROWS = 50
WARM_UP_SECONDS = 1.5
SERVE = """
import sys
from pathlib import Path
from tests.load.profile_sampler import Sampler
Sampler(Path(sys.argv.pop())).install()
from tenantry.cli import main
main()
"""


@click.command()
@click.option("--route", type=click.Choice(ROUTES), default="get", show_default=True)
@click.option("--seconds", type=click.FloatRange(0.5, 600), default=10, show_default=True, help="Under load.")
@click.option("--clients", type=click.IntRange(1, 256), default=16, show_default=True)
@click.option("--fast-lane/--no-fast-lane", default=True, show_default=True, help="Or the ordinary session alone.")
@click.option("--output", type=click.Path(path_type=Path), default=Path(".bench/profile.svg"), show_default=True)
def main(route: str, seconds: float, clients: int, fast_lane: bool, output: Path) -> None:
    """Profile one route of projects: a flame graph, and a table of where the time goes by layer.

    Beside the graph lie its samples as text, one stack a line.
    """
    output.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="tenantry-profile-") as name:
        sampled = Path(name, "samples.json")
        with served(Path(name), sampled, fast_lane) as (settings, service):
            answers = asyncio.run(load(settings, service, route, seconds, clients))
            samples = msgspec.json.decode(wait_for(sampled).read_bytes(), type=Samples)
    title = f"{route}, {clients} clients: {answers / seconds:,.0f} answers a second"
    output.write_text(flame_graph(samples, title))
    stacks = output.with_suffix(".folded")
    stacks.write_text("".join(f"{stack} {times}\n" for stack, times in samples.stacks.items()))
    console = Console()
    console.print(title, table_of(samples, answers), f"Flame graph: {output}\nStacks: {stacks}", sep="\n")


async def load(settings: Settings, service: LiveService, route: str, seconds: float, clients: int) -> int:
    """Send requests, and let the service take samples of itself meanwhile; the number of answers."""
    token, ids = await populated(settings)
    calls = calls_of(route, f"127.0.0.1:{settings.port}", token, ids)
    driving = asyncio.create_task(
        drive(settings.port, calls, clients=clients, seconds=seconds, warm_up=WARM_UP_SECONDS)
    )
    await asyncio.sleep(WARM_UP_SECONDS)
    service.process.send_signal(signal.SIGUSR1)
    await asyncio.sleep(seconds)
    service.process.send_signal(signal.SIGUSR1)
    result = await driving
    if result.failures:
        raise click.ClickException(f"not every answer was a success: {result.failures}")
    return result.requests


def calls_of(route: str, host: str, token: str, ids: list[str]) -> list[Call]:
    one = [f"{PROJECTS}/{id}" for id in ids]
    match route:
        case "get":
            return [call("GET", path, host, token) for path in one]
        case "list":
            return [call("GET", f"{PROJECTS}?limit={ROWS}", host, token)]
        case "post":
            return [call("POST", PROJECTS, host, token, '{"name": "Under load {number}"}')]
        case _:
            return [call("PATCH", path, host, token, '{"description": "Change {number}"}') for path in one]


@contextmanager
def served(folder: Path, sampled: Path, fast_lane: bool) -> Iterator[tuple[Settings, LiveService]]:
    """The service on an embedded PostgreSQL of its own, with the log of production in a file."""
    databases, port, log = TestDatabases(folder, "profile", None), free_port(), folder / "service.log"
    with databases.server(), databases.clone("load") as urls:
        settings = Settings(
            host="127.0.0.1", port=port, public_url=f"http://127.0.0.1:{port}", home=str(folder / "home"),
            database_url=urls.runtime, migration_database_url=urls.migration, log_format="json",
            database_fast_lane=fast_lane,
        )  # fmt: skip
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-c", SERVE, "run", str(sampled)],
                cwd=folder, env=environment_of(settings), stdout=output, stderr=subprocess.STDOUT,
            )  # fmt: skip
        service = LiveService(settings.base_url, process, log)
        try:
            wait_until_ready(service)
            yield settings, service
        finally:
            stop(service)


async def populated(settings: Settings) -> tuple[str, list[str]]:
    """The token of a tenant's owner, and the ids of its projects."""
    engine = create_engine(runtime_url(settings), settings)
    try:
        owner = (await World(Database(engine), TokenService.from_settings(settings), "no password").tenant()).owner
    finally:
        await engine.dispose()
    headers = {"authorization": f"Bearer {owner.token}"}
    async with httpx.AsyncClient(base_url=settings.base_url, headers=headers, trust_env=False) as client:
        answers = [await client.post(PROJECTS, json={"name": f"Project {number}"}) for number in range(ROWS)]
    return owner.token, [answer.raise_for_status().json()["id"] for answer in answers]


def wait_for(file: Path) -> Path:
    """It is written when the service next computes."""
    deadline = monotonic() + 5
    while not file.exists():
        if monotonic() > deadline:
            raise click.ClickException("the service gave no samples")
    return file


if __name__ == "__main__":
    main()
