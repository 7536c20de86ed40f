"""Metrics in Prometheus' format: requests, trips to the database, and the process.

They belong to the process, not to an application: what several applications of one process do adds up.
"""

import asyncio
import os
from bisect import bisect_left
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Literal

from litestar import Litestar
from litestar.config.app import AppConfig
from litestar.plugins import InitPlugin
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.exposition import generate_latest
from prometheus_client.gc_collector import GCCollector
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from tenantry.context import Lane
from tenantry.observability.worker_metrics import METRICS_FOLDER

__all__ = ("MEDIA_TYPE", "Metrics", "MetricsPlugin", "Outcome", "metrics")

MEDIA_TYPE = "text/plain; version=0.0.4"
Outcome = Literal["ok", "error", "lost", "cancelled"]
"""error: what the database answered, a refusal included; lost: it did not answer; cancelled: nobody waits any more."""

REQUEST_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
FOLD_SECONDS = 1
TRIP_SECONDS = (0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

# A second series for each, which no worker writes beside others.
disable_created_metrics()  # type: ignore[no-untyped-call]  # the library has not typed it


class Tally:
    """How often a series was observed since it was folded, and for how long: what the hot path can afford."""

    __slots__ = ("counts", "seconds")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.counts = [0] * (len(bounds) + 1)
        self.seconds = 0.0

    def take(self) -> tuple[list[int], float]:
        taken = self.counts, self.seconds
        self.counts, self.seconds = [0] * len(self.counts), 0.0
        return taken


class TalliedHistogram(Histogram):
    """The library's histogram takes one observation at a time, under locks: 1 µs, and 3 where workers share them."""

    def add(self, counts: list[int], seconds: float) -> None:
        self._sum.inc(seconds)
        for bucket, count in zip(self._buckets, counts, strict=True):
            if count:
                bucket.inc(count)


class Metrics:
    """No label has a value that a client or a tenant chooses, so the number of series is bounded by the code.

    Events are tallied, and folded into the library's series when somebody asks: from one thread, that of the events.
    """

    def __init__(self) -> None:
        self.folder = os.environ.get(METRICS_FOLDER)
        """Where several workers count together."""
        self.in_progress = 0
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        GCCollector(registry=registry)
        by_route = ("method", "route", "status")
        self._requests = Counter("http_requests", "Requests that were answered.", by_route, registry=registry)
        self._seconds = TalliedHistogram(
            "http_request_duration_seconds", "From the first byte of a request to the last of its answer.", by_route,
            registry=registry, buckets=REQUEST_SECONDS,
        )  # fmt: skip
        self._in_progress = Gauge(
            "http_requests_in_progress", "Requests without their whole answer.", registry=registry,
            multiprocess_mode="livesum",
        )  # fmt: skip
        self._trips = Counter(
            "tenantry_database_trips", "Round trips to the database.", ("lane", "outcome"), registry=registry
        )
        self._trip_seconds = TalliedHistogram(
            "tenantry_database_trip_seconds", "From a statement to its answer, waiting included.", ("lane",),
            registry=registry, buckets=TRIP_SECONDS,
        )  # fmt: skip
        self.mails = Counter(
            "tenantry_mails", "Attempts to send a mail: sent, postponed, or given_up.", ("outcome",), registry=registry
        )
        self._by_request: dict[tuple[str, str, int | str], Tally] = {}
        self._by_trip: dict[tuple[Lane, Outcome], Tally] = {}

    def request_ended(self, method: str, route: str, status: int | str, seconds: float) -> None:
        """`route` is a template, never a path; `method` is one of HTTP's."""
        tally = self._by_request.get((method, route, status))
        if tally is None:
            tally = self._by_request[method, route, status] = Tally(REQUEST_SECONDS)
        tally.counts[bisect_left(REQUEST_SECONDS, seconds)] += 1
        tally.seconds += seconds

    def database_trip(self, lane: Lane, outcome: Outcome, seconds: float) -> None:
        tally = self._by_trip.get((lane, outcome))
        if tally is None:
            tally = self._by_trip[lane, outcome] = Tally(TRIP_SECONDS)
        tally.counts[bisect_left(TRIP_SECONDS, seconds)] += 1
        tally.seconds += seconds

    def fold(self) -> None:
        """Let what was tallied be seen by the next who asks; of several workers, whichever is asked."""
        for request, tally in self._by_request.items():
            counts, seconds = tally.take()
            self._requests.labels(*request).inc(sum(counts))
            self._seconds.labels(*request).add(counts, seconds)
        for (lane, outcome), tally in self._by_trip.items():
            counts, seconds = tally.take()
            self._trips.labels(lane, outcome).inc(sum(counts))
            self._trip_seconds.labels(lane).add(counts, seconds)
        self._in_progress.set(self.in_progress)

    def exposition(self) -> bytes:
        """What a scraper is given: the counts of all workers, in the format that `MEDIA_TYPE` names."""
        if self.folder is None:
            return generate_latest(self.registry)
        of_all = CollectorRegistry()
        MultiProcessCollector(of_all, self.folder)  # type: ignore[no-untyped-call]  # the library has not typed it
        of_all.register(WorkerProcesses(living_workers(self.folder)))
        return generate_latest(of_all)


class WorkerProcesses(Collector):
    """Memory, time and open files of each worker: the library's own collector knows the process that it runs in."""

    def __init__(self, pids: list[int]) -> None:
        self.pids = pids

    def collect(self) -> Iterator[Metric]:
        found: dict[str, Metric] = {}
        for pid in self.pids:
            for metric in ProcessCollector(pid=partial(int, pid), registry=None).collect():
                of_all = found.setdefault(metric.name, Metric(metric.name, metric.documentation, metric.type))
                for sample in metric.samples:
                    of_all.add_sample(sample.name, {"pid": str(pid)}, sample.value)
        yield from found.values()


def living_workers(folder: str) -> list[int]:
    """What those that have ended were doing is forgotten; what they have done stays counted."""
    found = {int(file.stem.rpartition("_")[2]) for file in Path(folder).glob("*.db")}
    for pid in found.copy():
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            found.remove(pid)
            mark_process_dead(pid, folder)  # type: ignore[no-untyped-call]  # the library has not typed it
    return sorted(found)


metrics = Metrics()


class MetricsPlugin(InitPlugin):
    """Where workers count together, each lets the others see its counts once a second."""

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        if metrics.folder is not None:
            app_config.lifespan.append(self._folding)
        return app_config

    @asynccontextmanager
    async def _folding(self, _: Litestar) -> AsyncIterator[None]:
        task = asyncio.create_task(self._fold())
        yield
        task.cancel()
        metrics.fold()

    async def _fold(self) -> None:
        while True:
            metrics.fold()
            await asyncio.sleep(FOLD_SECONDS)
