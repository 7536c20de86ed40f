"""Measurements in rounds: in each, every contender takes its turn, first one and then another of them first."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from time import perf_counter

import msgspec
import uvloop

from tests.load import generator, wrk
from tests.load.generator import Call, Sample
from tests.load.machine import Layout, busy_seconds, computed_seconds, on_cores, workers_of
from tests.load.processes import Running

__all__ = ("Cell", "Failed", "Load", "Race", "Ratio", "percentile", "ratio")

NUMBERS_EACH = 10_000_000


class Failed(Exception):
    """An answer was not a success: what was measured would mean nothing."""


class Cell(msgspec.Struct):
    """One contender in one scenario with so many clients, a sample for each round."""

    contender: str
    scenario: str
    clients: int
    samples: list[Sample] = []

    @property
    def throughputs(self) -> list[float]:
        """Requests a second, by round."""
        return [sample.requests / sample.seconds for sample in self.samples]

    @property
    def throughput(self) -> float:
        return median(self.throughputs)

    def milliseconds(self, share: float) -> float:
        """The percentile of the latencies of all rounds together."""
        return percentile([value for sample in self.samples for value in sample.latencies], share) / 1000

    @property
    def server_microseconds(self) -> float:
        """That the server computes for a request."""
        return median(sample.computed_seconds / max(sample.requests, 1) * 1e6 for sample in self.samples)


class Ratio(msgspec.Struct, frozen=True):
    """Of numbers that were measured in the same round."""

    median: float
    low: float
    """Between this and `high` are the middle half of the rounds."""
    high: float

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.low:.2f}–{self.high:.2f})"


def percentile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)] if ordered else float("nan")


def ratio(one: Sequence[float], other: Sequence[float]) -> Ratio:
    each = sorted(a / b for a, b in zip(one, other, strict=True) if b)  # a machine can stand still for a whole round
    return Ratio(median(each), each[len(each) // 4], each[-1 - len(each) // 4])


class Load:
    """Whichever generator there is, on its cores."""

    def __init__(self, name: str, layout: Layout, folder: Path) -> None:
        if name == "auto":
            name = "wrk" if wrk.available() else "bundled"
        self.name, self.layout, self.folder, self._number = name, layout, folder, 0
        self._workers: dict[int, list[int]] = {}

    def measure(
        self, server: Running, calls: Sequence[Call], *, clients: int, seconds: float, warm_up: float
    ) -> Sample:
        """Raises `Failed` unless every answer was a success."""
        warming = self._bundled(server.port, calls, clients, warm_up, 0.0)
        pid = server.process.pid
        workers = self._workers[pid] = self._workers.get(pid) or workers_of(pid)
        others = self.layout.postgres | self.layout.generator
        computed, busy, began = sum(map(computed_seconds, workers)), busy_seconds(others), perf_counter()
        if self.name == "wrk":
            self._number += NUMBERS_EACH
            sample = wrk.drive(
                server.port, calls, clients=clients, seconds=seconds, number=self._number, folder=self.folder,
                cores=self.layout.generator,
            )  # fmt: skip
        else:
            sample = self._bundled(server.port, calls, clients, seconds, 0.0)
        elapsed = perf_counter() - began
        sample.computed_seconds = sum(map(computed_seconds, workers)) - computed
        sample.others_busy = (busy_seconds(others) - busy) / elapsed / max(len(others), 1)
        if failures := warming.failures | sample.failures:
            raise Failed(f"{' '.join(map(str, calls[0].head.split()[:2]))} at {server.host}: {failures}")
        return sample

    def _bundled(self, port: int, calls: Sequence[Call], clients: int, seconds: float, warm_up: float) -> Sample:
        self._number += NUMBERS_EACH
        with on_cores(self.layout.generator):
            return uvloop.run(
                generator.drive(port, calls, clients=clients, seconds=seconds, warm_up=warm_up, number=self._number)
            )


class Race:
    """Lists of requests, each to its server, that are compared with each other in one scenario."""

    def __init__(self, scenario: str, clients: int, entries: Mapping[str, tuple[Running, Sequence[Call]]]) -> None:
        self.cells = [Cell(name, scenario, clients) for name in entries]
        self.entries = list(entries.values())

    def warm(self, load: Load, seconds: float) -> None:
        """So that every token was verified and every page was read before the first round."""
        for cell, (server, calls) in zip(self.cells, self.entries, strict=True):
            load.measure(server, calls, clients=cell.clients, seconds=seconds, warm_up=0.0)

    def round(self, number: int, load: Load, *, seconds: float, warm_up: float) -> None:
        """Each has one turn; who is first changes from round to round, and so does the direction."""
        turns = list(zip(self.cells, self.entries, strict=True))
        first = number % len(turns)
        order = turns[first:] + turns[:first]
        for cell, (server, calls) in order if number // len(turns) % 2 == 0 else reversed(order):
            cell.samples.append(load.measure(server, calls, clients=cell.clients, seconds=seconds, warm_up=warm_up))
