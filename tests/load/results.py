"""What a run found: the numbers, and how they compare with what was promised."""

from collections.abc import Iterable
from itertools import product
from statistics import median

import msgspec

from tests.load.lineup import FASTAPI, LIMIT, POOLED, RAW, SERVICE, SESSION
from tests.load.logins import Burst
from tests.load.machine import Memory
from tests.load.plan import CLIENTS, Plan
from tests.load.rounds import Cell, Ratio, ratio

__all__ = ("Results", "Verdict", "verdicts")


class Results(msgspec.Struct, kw_only=True):
    plan: Plan
    began: str
    seconds: float = 0.0
    """That the run took."""
    machine: dict[str, str]
    postgres: dict[str, str] = {}
    pinned: str = ""
    generator: str = ""
    contenders: dict[str, str] = {}
    """What each is, by name."""
    capacity: dict[str, float] = {}
    """Requests a second that each generator gets from a server that does nothing, with 16 clients."""
    contest: list[Cell] = []
    growth: list[Cell] = []
    workers: list[Cell] = []
    logins: dict[str, list[Burst]] = {}
    memory: dict[str, list[Memory]] = {}
    """Of each worker, after load."""
    first_answer_seconds: list[float] = []
    strangers: dict[str, float] = {}
    """Cores that programs which are no part of the benchmark kept busy meanwhile, on average, by what was measured."""

    def cell(self, contender: str, scenario: str, clients: int = CLIENTS) -> Cell | None:
        found = (c for c in self.contest if (c.contender, c.scenario, c.clients) == (contender, scenario, clients))
        return next(found, None)

    def ratio(self, one: str, other: str, scenario: str, clients: int = CLIENTS) -> Ratio | None:
        """Of the requests a second."""
        cells = self.cell(one, scenario, clients), self.cell(other, scenario, clients)
        return ratio(cells[0].throughputs, cells[1].throughputs) if cells[0] and cells[1] else None


class Verdict(msgspec.Struct, frozen=True):
    target: str
    wanted: str
    found: str
    holds: bool


def verdicts(results: Results) -> list[Verdict]:
    """Only on what was measured."""
    found = [*speed(results), *tails(results), *growth(results)]
    if bursts := results.logins.get(SERVICE):
        worst = [burst.stall_worst for burst in bursts]
        found.append(at_most("16 logins at once stall the event loop, ms", 25, median(worst), worst))
    if memory := results.memory.get(SERVICE):
        found.append(at_most("resident memory of a worker, MiB", 140, max(each.rss for each in memory)))
    if seconds := results.first_answer_seconds:
        found.append(at_most("first answer of a warm start, s", 2, median(seconds), seconds))
    return found


def speed(results: Results) -> Iterable[Verdict]:
    wanted = [(SERVICE, limit, name, 1.3) for limit in (LIMIT, POOLED) for name in ("get", "list", "post")]
    wanted.append((SERVICE, FASTAPI, "get", 10.0))
    wanted += [(SESSION, FASTAPI, name, 1.8) for name in ("get", "list", "post", "patch")]
    for one, other, scenario, least in wanted:
        if found := results.ratio(one, other, scenario):
            target = f"{scenario.upper()}: {one} against {other}, requests a second"
            yield Verdict(target, f"≥ {least:g}x", f"{found}x", found.median >= least)


def tails(results: Results) -> Iterable[Verdict]:
    for other, scenario in product((RAW, LIMIT), results.plan.scenarios):
        ours, theirs = results.cell(SERVICE, scenario), results.cell(other, scenario)
        if ours and theirs:
            mine, most = ours.milliseconds(0.99), theirs.milliseconds(0.99)
            target = f"{scenario.upper()}: p99 of {SERVICE}, no worse than that of {other}, ms"
            yield Verdict(target, f"≤ {most:.1f}", f"{mine:.1f}", mine <= most)


def growth(results: Results) -> Iterable[Verdict]:
    cells = [cell for cell in results.growth if cell.scenario == "list"]
    if len(cells) == 2:
        small, large = cells
        found = ratio(small.throughputs, large.throughputs)
        target = f"LIST of {large.contender}, time against {small.contender}"
        yield Verdict(target, "≤ 1.3x", f"{found}x", found.median <= 1.3)


def at_most(target: str, most: float, found: float, spread: Iterable[float] = ()) -> Verdict:
    each = sorted(spread)
    shown = f"{found:.3g}" + (f" ({each[0]:.3g}–{each[-1]:.3g})" if each else "")
    return Verdict(target, f"≤ {most:g}", shown, found <= most)
