"""`just bench`: the service as it ships, next to what else could have been built, on this machine and in one run.

Only ratios of numbers from the same round mean something: the speed of a machine changes from minute to minute.
"""

import gc
import signal
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic

import msgspec
import rich_click as click
from rich.console import Console

from tests.load.plan import FULL, QUICK, SCENARIOS, Plan
from tests.load.plot import plot
from tests.load.report import encoded, report
from tests.load.rounds import Failed
from tests.load.run import Run

GENERATORS = click.Choice(["auto", "wrk", "bundled"])


@click.command()
@click.option("--quick", is_flag=True, help="Within a minute: fewer rounds, 100,000 rows, 16 clients only.")
@click.option("--postgres", metavar="URL", help="Administrator of a server to use, not the embedded one.")
@click.option("--rows", type=click.IntRange(0), help="Of the large database; 0 leaves growth out.")
@click.option("--rounds", type=click.IntRange(1), help="With 16 clients.")
@click.option("--seconds", type=click.FloatRange(0.05), help="Of each measurement.")
@click.option("--scenario", "scenarios", type=click.Choice(SCENARIOS), multiple=True, help="Only these.")
@click.option("--contender", "contenders", multiple=True, help="Only these.")
@click.option("--generator", type=GENERATORS, help="By default wrk where there is one, and the bundled one when quick.")
@click.option("--fsync/--no-fsync", default=True, help="Whether the embedded server waits for the disk.")
@click.option("--only-contest", is_flag=True, help="No growth, workers, logins and starts.")
@click.option("--output", type=click.Path(path_type=Path), default=Path(".bench"), show_default=True)
def main(quick: bool, postgres: str | None, output: Path, only_contest: bool, **given: object) -> None:
    """Measure, print a table, write results.json and results.png."""
    plan = plan_of(QUICK if quick else FULL, only_contest, given)
    console, began = Console(), monotonic()
    if not console.is_terminal:
        console.width = 130

    def say(line: str) -> None:
        console.print(f"[{monotonic() - began:5.1f} s] {line}", highlight=False, markup=False, soft_wrap=True)

    gc.freeze()  # or every measurement would begin with a walk through all that is loaded
    with TemporaryDirectory(prefix="tenantry-bench-", ignore_cleanup_errors=True) as folder:
        results = Run(plan, Path(folder), postgres, say).results_of_all()
    output.mkdir(parents=True, exist_ok=True)
    console.print(*report(results), sep="\n")
    (output / "results.json").write_bytes(encoded(results))
    plot(results, output / "results.png")
    say(f"Wrote {output / 'results.json'} and {output / 'results.png'}")


def plan_of(plan: Plan, only_contest: bool, given: dict[str, object]) -> Plan:
    """`plan` with what was given."""
    changes = {name: value for name, value in given.items() if value not in (None, ())}
    if only_contest:
        changes |= {"rows": 0, "bursts": 0, "starts": 0, "workers": False, "outer_clients": ()}
    return msgspec.structs.replace(plan, **changes)


if __name__ == "__main__":
    # By default SIGTERM would leave running what was started.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        main.main(prog_name="just bench", standalone_mode=False)
    except Failed as failure:
        sys.exit(f"Not every answer was right, so the numbers would mean nothing: {failure}")
    except click.ClickException as mistake:
        mistake.show()
        sys.exit(mistake.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
