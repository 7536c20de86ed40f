"""The results for a terminal, and for programs."""

from collections.abc import Iterator
from statistics import median
from typing import Any

import msgspec
from rich.console import RenderableType
from rich.table import Column, Table

from tests.load.lineup import LIMIT
from tests.load.results import Results, verdicts
from tests.load.rounds import Cell, percentile, ratio

__all__ = ("encoded", "report", "warnings")

QUIET_CORES = 0.15


def report(results: Results) -> Iterator[RenderableType]:
    for clients in sorted({cell.clients for cell in results.contest}):
        yield contest_table(results, clients)
    if results.logins:
        yield login_table(results)
    for title, cells in {"Growth": results.growth, "Workers, nothing pinned": results.workers}.items():
        if cells:
            yield comparison_table(title, cells)
    if results.memory:
        yield memory_table(results)
    yield verdict_table(results)
    yield footnotes(results)


def contest_table(results: Results, clients: int) -> Table:
    columns = ["scenario", "contender", "requests/s", "p50 ms", "p99 ms", f"times {LIMIT}", "server µs", "other cores"]
    table = table_of(f"{clients} clients" if clients > 1 else "1 client", columns, text=2)
    for scenario in results.plan.scenarios:
        cells = [c for c in results.contest if (c.scenario, c.clients) == (scenario, clients)]
        for index, cell in enumerate(cells):
            to_limit = results.ratio(cell.contender, LIMIT, scenario, clients)
            others = median(sample.others_busy for sample in cell.samples)
            table.add_row(
                "" if index else scenario.upper(), cell.contender, f"{cell.throughput:,.0f}",
                f"{cell.milliseconds(0.5):.2f}", f"{cell.milliseconds(0.99):.2f}", str(to_limit or ""),
                f"{cell.server_microseconds:.0f}", f"{others:.0%}", end_section=index == len(cells) - 1,
            )  # fmt: skip
    return table


def login_table(results: Results) -> Table:
    columns = ["contender", "stall, worst ms", "p99 ms", "a login ms", "the last ms"]
    others = "stall_p99", "login", "last_login"
    table = table_of("16 logins at once: how long others wait, and they themselves", columns)
    for name, bursts in results.logins.items():
        worst = sorted(burst.stall_worst for burst in bursts)
        table.add_row(
            name, f"{median(worst):.1f} ({worst[0]:.1f}–{worst[-1]:.1f})",
            *(f"{median(getattr(burst, field) for burst in bursts):.1f}" for field in others),
        )  # fmt: skip
    return table


def comparison_table(title: str, cells: list[Cell]) -> Table:
    table = table_of(title, ["scenario", "", "requests/s", "p50 ms", "p99 ms", "times the first"], text=2)
    for cell in cells:
        first = next(other for other in cells if other.scenario == cell.scenario)
        table.add_row(
            cell.scenario.upper() if cell is first else "", cell.contender, f"{cell.throughput:,.0f}",
            f"{cell.milliseconds(0.5):.2f}", f"{cell.milliseconds(0.99):.2f}",
            "" if cell is first else str(ratio(cell.throughputs, first.throughputs)),
        )  # fmt: skip
    return table


def memory_table(results: Results) -> Table:
    table = table_of("Memory after load, MiB for each worker", ["contender", "resident", "its share of what is shared"])
    for name, workers in results.memory.items():
        shares = [each.pss for each in workers if each.pss is not None]
        table.add_row(name, *(" + ".join(f"{v:.0f}" for v in values) for values in ([w.rss for w in workers], shares)))
    return table


def verdict_table(results: Results) -> Table:
    table = table_of("Targets", ["", "target", "wanted", "found"], text=2)
    for verdict in verdicts(results):
        table.add_row("✓" if verdict.holds else "✗", verdict.target, verdict.wanted, verdict.found)
    return table


def footnotes(results: Results) -> str:
    highest = max((cell.throughput for cell in results.contest), default=0.0)
    delivered = results.capacity.get(results.generator, float("nan"))
    machine = results.machine
    return "\n".join(
        [
            "Ratios: median of the rounds (middle half of them). p50 and p99: of all rounds together.",
            "Server µs: computed for a request. Other cores: how busy PostgreSQL and generator kept theirs.",
            f"{results.generator} can deliver {delivered:,.0f} requests a second; the most here were {highest:,.0f}.",
            f"Pinned: {results.pinned}.",
            *warnings(results),
            "PostgreSQL: " + ", ".join(f"{name} {value}" for name, value in sorted(results.postgres.items())) + ".",
            f"{machine['processor']}, {machine['cores']} cores, Python {machine['python']}.",
            *(f"{name}: {about}" for name, about in results.contenders.items()),
        ]
    )


def warnings(results: Results) -> Iterator[str]:
    """What makes the numbers worth less."""
    if busy := [f"{cores:.2f} ({what})" for what, cores in results.strangers.items() if cores > QUIET_CORES]:
        yield f"NOT ALONE: other programs kept so many cores busy: {', '.join(busy)}. Do not judge by this run."
    if results.contest and max(cell.throughput for cell in results.contest) > 0.5 * results.capacity[results.generator]:
        yield "THE GENERATOR may have been what limited the fastest."


def encoded(results: Results) -> bytes:
    """As JSON, with the latencies of a sample as percentiles: the millions of single ones would tell no more."""
    document: dict[str, Any] = msgspec.to_builtins(results, enc_hook=list)
    for cells in (document[part] for part in ("contest", "growth", "workers")):
        for cell in cells:
            for sample in cell["samples"]:
                shares = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99.9": 0.999, "worst": 1.0}
                latencies = sorted(sample["latencies"])
                sample["latencies"] = {name: percentile(latencies, share) for name, share in shares.items()}
    document["verdicts"] = verdicts(results)
    return msgspec.json.format(msgspec.json.encode(document)) + b"\n"


def table_of(title: str, columns: list[str], text: int = 1) -> Table:
    """The first `text` columns are text, the others numbers."""
    made = (Column(name, justify="left" if n < text else "right") for n, name in enumerate(columns))
    return Table(*made, title=f"\n{title}", title_justify="left")
