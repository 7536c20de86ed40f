"""One picture of a run, to be read at a glance."""

from collections.abc import Sequence
from itertools import accumulate, pairwise
from pathlib import Path
from statistics import median
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tests.load.lineup import FASTAPI, LIMIT, POOLED, RAW, SERVICE, SESSION
from tests.load.plan import CLIENTS
from tests.load.report import warnings
from tests.load.results import Results, verdicts
from tests.load.rounds import ratio

__all__ = ("plot",)

COLOURS = {
    SERVICE: "#0b6e4f",
    SESSION: "#7fb69e",
    LIMIT: "#34495e",
    POOLED: "#64788c",
    RAW: "#95a5b5",
    FASTAPI: "#d1703c",
}
OTHER = "#7d7d7d"
GOOD, BAD = "#0b6e4f", "#b3261e"
STYLE: dict[Any, Any] = {
    "font.size": 10, "axes.spines.top": False, "axes.spines.right": False, "axes.titleweight": "bold",
    "axes.titlelocation": "left", "axes.titlesize": 12, "svg.fonttype": "none",
}  # fmt: skip


def plot(results: Results, file: Path) -> None:
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(20, 14), layout="constrained")
        outer = figure.add_gridspec(2, 3, width_ratios=(1.1, 1.0, 0.9), height_ratios=(1.35, 1))
        draw_throughput(figure.add_subplot(outer[0, 0]), results)
        draw_latency(figure.add_subplot(outer[0, 1]), results)
        draw_verdicts(figure.add_subplot(outer[0, 2]), results)
        draw_clients(figure.add_subplot(outer[1, 0]), results)
        draw_growth(figure.add_subplot(outer[1, 1]), results)
        lower = outer[1, 2].subgridspec(2, 1)
        draw_logins(figure.add_subplot(lower[0]), results)
        draw_memory(figure.add_subplot(lower[1]), results)
        draw_title(figure, results)
        figure.savefig(file, dpi=100)


def draw_title(figure: Figure, results: Results) -> None:
    machine, doubts = results.machine, list(warnings(results))
    where = f"{machine['processor']}, {machine['cores']} cores; {results.pinned}"
    title = f"Tenantry beside its rivals, {results.began}; {where}; PostgreSQL {results.postgres.get('server_version')}"
    figure.suptitle("\n".join([title, *doubts]), x=0.01, ha="left", color=BAD if doubts else "black")


def draw_throughput(axes: Axes, results: Results) -> None:
    """Ratios to the limit, of the same rounds: requests a second alone say more of the machine."""
    rows = [
        (scenario.upper(), name, results.ratio(name, LIMIT, scenario), results.cell(name, scenario))
        for scenario in results.plan.scenarios
        for name in results.contenders
    ]
    places = grouped([row[0] for row in rows])
    for place, (_, name, found, cell) in zip(places, rows, strict=True):
        if found and cell:
            axes.barh(place, found.median, color=COLOURS.get(name, OTHER))
            axes.plot([found.low, found.high], [place, place], color="black", linewidth=1)
            axes.text(found.high, place, f" {found.median:.2f}x  {cell.throughput:,.0f}/s", va="center", fontsize=9)
    axes.axvline(1.3, color=BAD, linestyle=":", linewidth=1)
    axes.text(1.3, -1.1, "target of GET, LIST, POST: 1.3", color=BAD, fontsize=9, ha="center")
    label_groups(axes, places, [row[:2] for row in rows])
    axes.set(
        title=f"Requests a second, times “{LIMIT}”, {CLIENTS} clients: longer is better",
        xlabel="line: the middle half of the rounds",
    )
    axes.margins(x=0.25)


def draw_latency(axes: Axes, results: Results) -> None:
    cells = [
        c
        for scenario in results.plan.scenarios
        for c in results.contest
        if (c.scenario, c.clients) == (scenario, CLIENTS)
    ]
    places = grouped([cell.scenario for cell in cells])
    for place, cell in zip(places, cells, strict=True):
        half, most = cell.milliseconds(0.5), cell.milliseconds(0.99)
        colour = COLOURS.get(cell.contender, OTHER)
        axes.plot([half, most], [place, place], color=colour, linewidth=3, solid_capstyle="round")
        axes.plot(half, place, "o", color=colour)
        axes.text(most * 1.1, place, f"{half:.1f} – {most:.1f}", va="center", fontsize=9)
    label_groups(axes, places, [(cell.scenario.upper(), cell.contender) for cell in cells])
    axes.set_xscale("log")
    axes.margins(x=0.2)
    axes.set(
        title=f"Milliseconds, p50 to p99, {CLIENTS} clients: left is better", xlabel="dot: p50, end: p99; logarithmic"
    )


def draw_verdicts(axes: Axes, results: Results) -> None:
    axes.set_axis_off()
    axes.set_title("Targets")
    found = verdicts(results)
    for index, verdict in enumerate(found):
        height = 1 - (index + 0.5) / max(len(found), 12)
        colour = GOOD if verdict.holds else BAD
        axes.text(0.0, height, "✓" if verdict.holds else "✗", color=colour, fontsize=14, va="center")
        axes.text(0.05, height, verdict.target, va="bottom", fontsize=9)
        axes.text(0.05, height, f"{verdict.found}, wanted {verdict.wanted}", va="top", fontsize=9, color=colour)


def draw_clients(axes: Axes, results: Results) -> None:
    """Lines end in the name of what they show."""
    numbers = sorted({cell.clients for cell in results.contest})
    if len(numbers) < 2:
        only = {cell.contender: cell.throughput for cell in results.contest if cell.scenario == "get"}
        draw_bars(axes, only, "{:,.0f}")
        axes.set(title=f"GET, requests a second, {CLIENTS} clients")
        return
    ends: list[tuple[float, str]] = []
    for name in results.contenders:
        cells = [c for n in numbers if (c := results.cell(name, "get", n))]
        if len(cells) == len(numbers):
            axes.plot([c.clients for c in cells], [c.throughput for c in cells], "o-", color=COLOURS.get(name, OTHER))
            ends.append((cells[-1].throughput, f" {name} {cells[-1].throughput:,.0f}"))
    for value, text in ends:
        axes.text(numbers[-1] * 1.05, value, text, va="center", fontsize=9)
    axes.set_xscale("log")
    axes.set_xticks(numbers, [str(n) for n in numbers])
    axes.set_xticks([], minor=True)
    axes.margins(x=0.25)
    axes.set_ylim(bottom=0)
    axes.set(title="GET, requests a second by clients", xlabel="clients")


def draw_growth(axes: Axes, results: Results) -> None:
    """How much longer the larger takes; workers are the other way round."""
    bars: list[tuple[str, float, str]] = []
    for cells, is_cost in ((results.growth, True), (results.workers, False)):
        for scenario in dict.fromkeys(cell.scenario for cell in cells):
            first, other = (cell for cell in cells if cell.scenario == scenario)
            found = (
                ratio(first.throughputs, other.throughputs) if is_cost else ratio(other.throughputs, first.throughputs)
            )
            unit = "time" if is_cost else "throughput"
            bars.append(
                (f"{scenario.upper()}: {other.contender}\nagainst {first.contender}", found.median, f"{found} {unit}")
            )
    for index, (_, value, text) in enumerate(bars):
        axes.barh(index, value, color="#34495e" if text.endswith("time") else "#0b6e4f")
        axes.text(value, index, f" {text}", va="center", fontsize=9)
    axes.axvline(1.0, color="black", linewidth=0.8)
    axes.set_yticks(range(len(bars)), [bar[0] for bar in bars], fontsize=9)
    axes.invert_yaxis()
    axes.margins(x=0.4)
    axes.set(title="More data: time. More workers: throughput")


def draw_logins(axes: Axes, results: Results) -> None:
    stalls = {name: median(burst.stall_worst for burst in bursts) for name, bursts in results.logins.items()}
    draw_bars(axes, stalls, "{:.0f} ms")
    axes.axvline(25, color=BAD, linestyle=":", linewidth=1)
    axes.set(title="Stall during 16 logins, ms")


def draw_memory(axes: Axes, results: Results) -> None:
    draw_bars(axes, {name: max(each.rss for each in workers) for name, workers in results.memory.items()}, "{:.0f} MiB")
    axes.axvline(140, color=BAD, linestyle=":", linewidth=1)
    seconds = results.first_answer_seconds
    first = f"First answer of a warm start: {median(seconds):.2f} s (target 2)" if seconds else ""
    axes.set(title="Memory of a worker, MiB", xlabel=first)


def draw_bars(axes: Axes, values: dict[str, float], text: str) -> None:
    for index, (name, value) in enumerate(values.items()):
        axes.barh(index, value, color=COLOURS.get(name, OTHER))
        axes.text(value, index, " " + text.format(value), va="center", fontsize=9)
    axes.set_yticks(range(len(values)), list(values))
    axes.invert_yaxis()
    axes.margins(x=0.2)


def grouped(names: Sequence[str]) -> list[float]:
    """A place for each, with a gap where the name changes."""
    changes = [one != other for one, other in pairwise(names)]
    gaps = list(accumulate(changes, initial=0)) if names else []
    return [index + 0.8 * gap for index, gap in enumerate(gaps)]


def label_groups(axes: Axes, places: Sequence[float], labels: Sequence[tuple[str, str]]) -> None:
    before = ""
    for place, (group, _) in zip(places, labels, strict=True):
        if group != before:
            axes.text(-0.01, place - 0.75, group, transform=axes.get_yaxis_transform(), ha="right", weight="bold")
        before = group
    axes.set_yticks(list(places), [name for _, name in labels], fontsize=9)
    axes.invert_yaxis()
