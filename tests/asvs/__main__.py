"""`just asvs`: runs the tests that show a requirement, and prints which is shown by what."""

import sys
from collections import defaultdict

import pytest
from rich.console import Console
from rich.table import Column, Table

from tests.asvs import requirements


class Shown:
    """What each requirement's tests came to."""

    def __init__(self) -> None:
        self.ids: dict[str, set[str]] = {}
        """By test, those of all its parameters together."""
        self.failed: set[str] = set()
        self.ran: set[str] = set()

    def pytest_itemcollected(self, item: pytest.Item) -> None:
        if found := {id for mark in item.iter_markers("asvs") for id in mark.args}:
            self.ids.setdefault(name_of(item.nodeid), set()).update(found)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        name = name_of(report.nodeid)
        if report.when == "call":
            self.ran.add(name)
        if not report.passed:
            self.failed.add(name)


def name_of(nodeid: str) -> str:
    return nodeid.partition("[")[0]


def main() -> int:
    shown = Shown()
    pytest.main(["-q", "-n", "0", "-m", "asvs", "--no-header", "--show-capture=no", *sys.argv[1:]], plugins=[shown])
    tests = defaultdict(list)
    for name, ids in shown.ids.items():
        for id in ids:
            tests[id].append(name)
    table = Table(*(Column(title, overflow="fold") for title in ("id", "level", "phrase", "test", "passed")))
    counts: dict[str, int] = defaultdict(int)
    for each in requirements():
        names = sorted(tests[each.id])
        if names:
            good = all(name in shown.ran and name not in shown.failed for name in names)
            state = "yes" if good else "NO"
        else:
            state = "not applicable" if each.why_not else "open"
        counts[state] += 1
        table.add_row(each.id, each.level, each.phrase, "\n".join(names) or each.why_not or each.open, state)
    console = Console(width=None if sys.stdout.isatty() else 200)
    console.print(table)
    console.print(", ".join(f"{state}: {count}" for state, count in sorted(counts.items())))
    return int(bool(counts["NO"]))


if __name__ == "__main__":
    sys.exit(main())
