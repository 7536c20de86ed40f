"""`tenantry keys …`: what operators do with signing keys, as a process of its own."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tenantry.testing.databases import DatabaseUrls, TestDatabases
from tests.contract.commands import tenantry


@pytest.fixture
def urls(databases: TestDatabases, worker_id: str) -> Iterator[DatabaseUrls]:
    """A database of its own: the services of other tests would sign with what is made here."""
    with databases.clone(f"keyscommand_{worker_id}") as urls:
        yield urls


KEPT = "SELECT id, sealed_key IS NOT NULL FROM signing_keys"


def test_rotate_list_and_withdraw(urls: DatabaseUrls, tmp_path: Path) -> None:
    """A key that signs at once, one that is published first, and what is withdrawn loses its private part."""
    made = tenantry(urls, tmp_path, "keys rotate --now", "keys rotate", "keys list --json")
    first, second = (json.loads(line) for line in made.stdout.splitlines() if line.startswith("{"))
    last = tenantry(urls, tmp_path, f"keys withdraw {first['id']}")
    done = tenantry(urls, tmp_path, "keys rotate --now", f"keys withdraw {first['id']}", "keys list --json")
    states = {key["id"]: key["state"] for key in map(json.loads, done.stdout.splitlines()[-3:])}
    with psycopg.connect(urls.conninfo) as connection:
        sealed: dict[Any, bool] = dict(
            connection.execute("SELECT id, sealed_key IS NOT NULL FROM signing_keys").fetchall()
        )

    assert [("EdDSA", "signs"), ("EdDSA", "published")] == [(key["algorithm"], key["state"]) for key in (first, second)]
    assert (1, True) == (last.returncode, "last_key" in last.stderr)
    assert ("withdrawn", "published", "signs") == (states.pop(first["id"]), states.pop(second["id"]), *states.values())
    assert {first["id"]} == {id for id, is_kept in sealed.items() if not is_kept}
