"""What the question of every request costs against a bare `set_config`, as the number of tenants grows.

    .venv/bin/python -m tests.load.questions

Each is a round trip of its own, prepared, on one connection, of the runtime role; all take turns, and the ratios of
their medians mean something.
"""

import random
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo
from rich.console import Console
from rich.table import Table

from tenantry.db.roles import RUNTIME_ROLE
from tenantry.testing.databases import TestDatabases
from tests.load.dataset import Member, Size, fill, members

TENANTS = (10, 1_000, 100_000)
ROUNDS, CALLS = 15, 200
SEED = 20261125
KEYS = """
    INSERT INTO api_keys (tenant_id, id, subject_id, name, hint, secret_hash, scopes, created_by, last_used_at,
                          created_at, updated_at)
    SELECT tenant_id, id, subject_id, 'key', '', sha256('secret'), '{projects:read}', subject_id, now(), now(), now()
    FROM memberships
"""
Connection = psycopg.Connection[Any]
Ask = Callable[[Connection, Member], Any]
ASKS: dict[str, Ask] = {
    "SELECT 1": lambda connection, _: connection.execute("SELECT 1"),
    "set_config": lambda connection, member: connection.execute(
        "SELECT set_config('app.tenant_id', %s::text, true)", [member.tenant_id]
    ),
    "begin_request": lambda connection, member: connection.execute(
        "SELECT begin_request(%s, %s, 'projects:read')", [member.session_id, member.tenant_id]
    ),
    "begin_key_request": lambda connection, member: connection.execute(
        "SELECT begin_key_request(%s, sha256('secret'), %s, 'projects:read')", [member.membership_id, member.tenant_id]
    ),
}

QUESTIONS = ("begin_request", "begin_key_request")


def main() -> None:
    table = Table("tenants", *(f"{name} µs" for name in ASKS), *(f"{name}, ratio" for name in QUESTIONS))
    with tempfile.TemporaryDirectory(prefix="tenantry-") as home:
        databases = TestDatabases(Path(home), "questions", None)
        with databases.server():
            for tenants in TENANTS:
                with databases.clone(f"of_{tenants}") as urls:
                    with psycopg.connect(urls.conninfo, autocommit=True) as administrator:
                        fill(administrator, Size(tenants, tenants), "none")
                        administrator.execute(KEYS.encode())
                        administrator.execute("VACUUM (FREEZE, ANALYZE)")
                    medians = measured(make_conninfo(urls.conninfo, user=RUNTIME_ROLE), tenants)
                    times = [f"{medians[name]:.0f}" for name in ASKS]
                    ratios = [f"{medians[name] / medians['set_config']:.2f}" for name in QUESTIONS]
                    table.add_row(f"{tenants:,}", *times, *ratios)
    Console().print(table)


def measured(conninfo: str, tenants: int) -> dict[str, float]:
    """Medians of the rounds, in µs a call."""
    random.seed(SEED)
    taken: dict[str, list[float]] = {name: [] for name in ASKS}
    with psycopg.connect(conninfo, autocommit=True, prepare_threshold=0) as connection:
        for _ in range(ROUNDS):
            callers = [*members(random.choices(range(tenants), k=CALLS))]
            for name in random.sample(sorted(ASKS), len(ASKS)):
                began = perf_counter()
                for member in callers:
                    ASKS[name](connection, member)
                taken[name].append((perf_counter() - began) / CALLS * 1e6)
    return {name: median(times[1:]) for name, times in taken.items()}


if __name__ == "__main__":
    main()
