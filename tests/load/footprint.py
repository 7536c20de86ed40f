"""What the service takes: memory per worker, and the time from its start to its first answer."""

from pathlib import Path
from time import perf_counter

from tenantry.config import Settings
from tenantry.testing.service import environment_of
from tests.load.lineup import SERVE
from tests.load.machine import Memory, memory_of, workers_of
from tests.load.processes import Running, started, wait_for

__all__ = ("first_answer_seconds", "memory_of_workers")

READY = "/health/ready"
PRECISION_SECONDS = 0.005


def memory_of_workers(server: Running) -> list[Memory]:
    return [memory_of(pid) for pid in workers_of(server.process.pid)]


def first_answer_seconds(folder: Path, times: int) -> list[float]:
    """From `tenantry run` to the first 200 of `/health/ready`, with an embedded database that is there but not running.

    The run that creates the database does not count.
    """
    settings = environment_of(Settings(home=str(folder / "home"))) | {"TENANTRY_PORT": "{port}"}
    seconds = []
    for number in range(times + 1):
        began = perf_counter()
        with started(SERVE, settings, folder / f"start-{number}", frozenset()) as server:
            wait_for(server, READY, every=PRECISION_SECONDS)
            seconds.append(perf_counter() - began)
    return seconds[1:]
