"""What a request costs a server in instructions of user space, with 16 clients: no busy machine disturbs that.

    just bench --help                                       # makes the environments, once
    .bench/venv/bin/python -m tests.load.instructions       # five minutes; Debian's valgrind

The service and `limit` run under callgrind, which counts from outside while they are under load. What the kernel and
PostgreSQL do for them is not in it, and a processor does not take the same time for each instruction.
"""

import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
from rich.console import Console
from rich.table import Table

from tests.load.callgrind import instructions
from tests.load.contest import Entrant, entrants
from tests.load.dataset import PASSWORD
from tests.load.lineup import LIMIT, SERVICE, Contender, Lineup
from tests.load.machine import layout
from tests.load.plan import CLIENTS, SCENARIOS
from tests.load.rounds import Load
from tests.load.run import MAIN, main_cast
from tests.load.scenarios import Cast
from tests.load.server import postgres

WARM_UP_SECONDS, SECONDS = 6.0, 10.0
COUNTED = {scenario: scenario.upper() for scenario in SCENARIOS if scenario != "mixed"}


def main() -> None:
    table = Table("a request, thousands of instructions", *COUNTED.values())
    with TemporaryDirectory(prefix="tenantry-", ignore_cleanup_errors=True) as home:
        folder = Path(home)
        load = Load("bundled", layout(), folder)
        with postgres(folder, None, {}) as server, server.filled("main", MAIN, PASSWORD) as urls:
            chosen = [each for each in Lineup(urls, folder / "home").all() if each.name in (SERVICE, LIMIT)]
            with entrants([counted(each, folder) for each in chosen], folder, frozenset()) as found:
                cast = main_cast(urls)
                for entrant in found:
                    each = [cost(entrant, scenario, cast, load, folder) for scenario in COUNTED]
                    table.add_row(entrant.name, *(f"{number / 1000:,.0f}" for number in each))
    Console().print(table)


def counted(contender: Contender, folder: Path) -> Contender:
    """The same under callgrind, which counts nothing yet. Everything takes fifty times as long."""
    options = "--tool=callgrind", "--instr-atstart=no", "-q", f"--callgrind-out-file={folder}/{contender.name}"
    patient = {"PYTHONHASHSEED": "0", "TENANTRY_REQUEST_TIMEOUT_SECONDS": "60"}
    command = "valgrind", *options, *contender.command
    return msgspec.structs.replace(contender, command=command, environment=contender.environment | patient)


def cost(entrant: Entrant, scenario: str, cast: Cast, load: Load, folder: Path) -> float:
    """Instructions of one request."""
    calls, pid = entrant.calls(scenario, cast), entrant.server.process.pid

    def control(*options: str) -> None:
        subprocess.run(["callgrind_control", *options, str(pid)], check=True, capture_output=True)

    load.measure(entrant.server, calls, clients=CLIENTS, seconds=WARM_UP_SECONDS, warm_up=0.0)
    control("--zero")
    control("--instr=on")
    sample = load.measure(entrant.server, calls, clients=CLIENTS, seconds=SECONDS, warm_up=0.0)
    before = {*folder.glob(f"{entrant.name}*")}
    control(f"--dump={scenario}")
    control("--instr=off")
    return max(map(instructions, {*folder.glob(f"{entrant.name}*")} - before)) / sample.requests


if __name__ == "__main__":
    main()
