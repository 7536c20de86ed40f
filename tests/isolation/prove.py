"""`just prove`: who may do what, tried, and every sabotage with the test that noticed it.

It prints both, and writes the matrix of operations and principals as a page, `.prove/matrix.html`.
"""

import asyncio
import html
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic
from typing import NamedTuple

import psycopg
import rich_click as click
from rich.console import Console
from rich.table import Table

from tenantry.config import Settings
from tenantry.http.policy import Allow, Public
from tenantry.testing.databases import DatabaseUrls, TestDatabases
from tests.faults.planted import serving
from tests.isolation.catalogue import metadata_tables
from tests.isolation.matrix import Attempt, attempts
from tests.isolation.operations import Contract, Operation
from tests.isolation.principals import PRINCIPALS
from tests.isolation.sabotage import IN_CODE, Sabotage, in_the_database

FOLDER = Path(".prove")
AT_ONCE = 2
LONGEST_SECONDS = 300
STYLE = """
body { font: 14px system-ui; margin: 2rem } table { border-collapse: collapse } td, th { padding: .2rem .5rem }
th { text-align: left; position: sticky; top: 0; background: #fff } th.p { writing-mode: vertical-rl; height: 13rem }
td { border-top: 1px solid #ddd; white-space: nowrap } .in { background: #dcf3e0 } .out { background: #f3f3f3 }
.wrong { background: #e01b24; color: #fff }
"""
console = Console()


class Outcome(NamedTuple):
    sabotage: Sabotage
    noticed_by: str | None
    """The first test that failed."""
    seconds: float


@click.command()
@click.option("--only", default="", help="Only the acts of sabotage that contain this.")
@click.option("--no-sabotage", is_flag=True, help="Only the matrix.")
def prove(only: str, no_sabotage: bool) -> None:
    """Show that isolation holds, and that the proofs would notice if it did not."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="tenantry-") as home:
        databases = TestDatabases(Path(home), "prove", None)
        with databases.server(), databases.clone("matrix") as urls:
            made = asyncio.run(matrix(urls, home))
            with psycopg.connect(urls.conninfo) as connection:
                acts = [*in_the_database(connection), *IN_CODE.values()]
    show(made)
    (FOLDER / "matrix.html").write_text(page(made))
    wrong = [fault for attempt in made for fault in attempt.faults]
    for fault in wrong:
        console.print(f"[red]{fault}")
    outcomes = [] if no_sabotage else sabotaged([act for act in acts if only in act.what])
    say(made, outcomes)
    sys.exit(bool(wrong) or any(outcome.noticed_by is None for outcome in outcomes))


async def matrix(urls: DatabaseUrls, home: str) -> list[Attempt]:
    async with serving(Settings(home=home, database_url=urls.runtime, log_level="error")) as served:
        contract = Contract(served.app)
        return [each for name in PRINCIPALS for each in await attempts(served.api, served.world, contract, name)]


def by_operation(made: list[Attempt]) -> dict[str, list[Attempt]]:
    """In the order of the principals."""
    found: dict[str, list[Attempt]] = {}
    for attempt in made:
        found.setdefault(str(attempt.operation), []).append(attempt)
    return found


def show(made: list[Attempt]) -> None:
    """A line each operation, a column each principal."""
    numbers = [str(number) for number in range(1, len(PRINCIPALS) + 1)]
    table = Table("operation", "asks for", *numbers, padding=(0, 0), collapse_padding=True)
    for name, row in by_operation(made).items():
        table.add_row(name.replace("/api/v1", ""), asked(row[0].operation), *map(sign, row))
    console.print(table, soft_wrap=True)
    for number, name in zip(numbers, PRINCIPALS, strict=True):
        console.print(f"{number:>3} {name}", highlight=False)
    console.print("  · let in; 1 answered 401, 3 answered 403; ! not what the policy says")


def asked(operation: Operation) -> str:
    policy = operation.policy
    return policy.permission.name if isinstance(policy, Allow) else "–" if isinstance(policy, Public) else "a session"


def sign(attempt: Attempt) -> str:
    if attempt.faults:
        return "[red]!"
    return "[green]·" if attempt.is_let_in else f"[dim]{attempt.status % 10}"


def page(made: list[Attempt]) -> str:
    heads = "".join(f"<th class=p>{html.escape(name)}" for name in PRINCIPALS)
    rows = "".join(
        f"<tr><td><code>{html.escape(name)}</code><td>{html.escape(asked(row[0].operation))}{''.join(map(cell, row))}"
        for name, row in by_operation(made).items()
    )
    return (
        f"<!doctype html><meta charset=utf-8><title>Who may do what</title><style>{STYLE}</style>"
        f"<h1>Who may do what</h1><p>{tried(made)}</p><table><tr><th>operation<th>asks for{heads}{rows}</table>"
    )


def cell(attempt: Attempt) -> str:
    kind = "wrong" if attempt.faults else "in" if attempt.is_let_in else "out"
    return f'<td class={kind} title="{html.escape(attempt.code or "")}">{attempt.status}'


def tried(made: list[Attempt]) -> str:
    operations = len({str(attempt.operation) for attempt in made})
    return f"{operations} operations × {len(PRINCIPALS)} principals = {len(made)} requests"


def sabotaged(acts: list[Sabotage]) -> list[Outcome]:
    """Each in a test run of its own, which must fail."""
    outcomes = []
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for outcome in pool.map(attempted, acts):
            verdict = "[green]noticed" if outcome.noticed_by else "[red]SURVIVED"
            how = f"[dim]({outcome.seconds:.0f} s) {outcome.noticed_by or ''}"
            console.print(f"{verdict}[/] {outcome.sabotage.what} {how}", highlight=False, soft_wrap=True)
            outcomes.append(outcome)
    return outcomes


def attempted(act: Sabotage) -> Outcome:
    began = monotonic()
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as file:
        file.write(act.sql)
        file.flush()
        means = ["--sabotage-sql", file.name] if act.sql else ["--sabotage", act.what]
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-n", "0", "-p", "tests.isolation.sabotage", *means]
        run = subprocess.run(
            [*command, "-p", "no:cacheprovider", "-rfE", "--show-capture=no", *act.proofs],
            capture_output=True, text=True, check=False, timeout=LONGEST_SECONDS,
        )  # fmt: skip
    return Outcome(act, next(failed(run.stdout), None) if run.returncode == 1 else None, monotonic() - began)


def failed(output: str) -> Iterator[str]:
    for line in output.splitlines():
        if line.startswith(("FAILED ", "ERROR tests", "ERROR features")):
            yield line.split()[1]


def say(made: list[Attempt], outcomes: list[Outcome]) -> None:
    console.print(f"{tried(made)}, {sum(bool(attempt.faults) for attempt in made)} not as declared; "
                  f"{len(metadata_tables())} tables of tenants", highlight=False)  # fmt: skip
    if outcomes:
        noticed = sum(outcome.noticed_by is not None for outcome in outcomes)
        console.print(f"{len(outcomes)} acts of sabotage, {noticed} noticed", highlight=False)
    console.print(f"Wrote {FOLDER / 'matrix.html'}", highlight=False)


if __name__ == "__main__":
    prove()
