"""What `just overload` shows."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median, quantiles

import msgspec
from rich.table import Table

from tests.load.open_loop import Outcome

__all__ = ("Point", "Round", "plot", "table", "wrong")

BEHIND_MILLISECONDS = 100


class Point(msgspec.Struct):
    """One rate."""

    times: float
    """In capacities."""
    outcome: Outcome
    computed_seconds: float
    """By the service."""
    load_average: float


class Round(msgspec.Struct):
    load_average: float
    """Before it began."""
    capacity: float
    """Requests a second, in a closed loop."""
    seconds_of_one: float
    """That the service computes for a request it serves."""
    points: list[Point]
    alone: Outcome
    """The largest offer, to a server that does nothing."""

    @property
    def goodput(self) -> list[float]:
        """In capacities."""
        return [point.outcome.served / point.outcome.seconds / self.capacity for point in self.points]

    @property
    def kept(self) -> float:
        """At the largest offer, of the peak."""
        return self.goodput[-1] / max(self.goodput)

    @property
    def kept_computing(self) -> float:
        """The same for what it computes, of which others on the machine take nothing away."""
        return self.useful(self.points[-1]) / max(map(self.useful, self.points))

    def useful(self, point: Point) -> float:
        """Of what the service computes, for answers in time: others on the machine hardly disturb that."""
        return point.outcome.served * self.seconds_of_one / point.computed_seconds

    def refusal_microseconds(self, point: Point) -> float:
        """What sending one away computes, if those that are served take what they took in the closed loop."""
        served = point.outcome.served + point.outcome.late
        return (point.computed_seconds - served * self.seconds_of_one) / max(1, point.outcome.refused) * 1e6


def table(rounds: Sequence[Round]) -> Table:
    """A line for each rate and round."""
    found = Table(
        "offered", "in time", "of peak", "refused", "late", "lost", "p50, p99 ms", "behind", "health", "refusal, µs",
        "useful", "load", title="Goodput of an open loop",
    )  # fmt: skip
    for points in zip(*(each.points for each in rounds), strict=True):
        for each, point in zip(rounds, points, strict=True):
            outcome, number = point.outcome, each.points.index(point)
            shares = (f"{count / outcome.offered:.0%}" for count in (outcome.refused, outcome.late, outcome.lost))
            refusal = f"{each.refusal_microseconds(point):.0f}" if outcome.refused > outcome.served else ""
            found.add_row(
                f"{point.times:g} x {each.capacity:,.0f}/s", f"{each.goodput[number]:.2f}",
                f"{each.goodput[number] / max(each.goodput):.0%}", *shares, spread(outcome.milliseconds),
                spread(outcome.behind), spread(outcome.probes), refusal,
                f"{each.useful(point):.0%}", f"{point.load_average:.1f}",
            )  # fmt: skip
        found.add_section()
    return found


def spread(values: Sequence[float]) -> str:
    if len(values) < 2:
        return "–"
    cuts = quantiles(values, n=100)
    return f"{cuts[49]:.0f}, {cuts[98]:.0f}"


def wrong(rounds: Sequence[Round]) -> Iterator[str]:
    """What a reader must know before they believe the table."""
    for number, each in enumerate(rounds, 1):
        alone = each.alone
        yield (
            f"Round {number}: the service computes {each.seconds_of_one * 1e6:.0f} µs for a request; from a server that"
            f" does nothing the generator has {alone.served / alone.offered:.0%} of"
            f" {alone.offered / alone.seconds:,.0f}/s answered in time."
        )
        for point in each.points:
            if point.outcome.wrong:
                yield f"Round {number}, {point.times:g} x: {point.outcome.wrong}"
            if point.outcome.behind and median(point.outcome.behind) > BEHIND_MILLISECONDS:
                yield f"Round {number}, {point.times:g} x: the generator was too slow, so this says little"


def plot(rounds: Sequence[Round], image: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    times = [point.times for point in rounds[0].points]
    curves = [each.goodput for each in rounds]
    middle = [median(values) for values in zip(*curves, strict=True)]
    for curve in curves:
        axes.plot(times, curve, color="tab:blue", alpha=0.3)
    axes.plot(times, middle, marker="o", color="tab:blue", label="served within a second (median)")
    axes.axhline(0.8 * max(middle), color="tab:red", linestyle=":", label="80 % of the peak")
    axes.set(xlabel="offered, in capacities", ylabel="in capacities", ylim=0, title="Goodput under overload, open loop")
    axes.legend()
    figure.savefig(image, dpi=110)
