"""`tenantry seed` fills a database once, and only one of development."""

import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from stat import S_IMODE
from tempfile import TemporaryDirectory

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from tenantry.app import create_app
from tenantry.cli import main
from tenantry.config import Settings
from tenantry.db.provision import embedded_server

SCALE = "0.05"
PRODUCTION = {
    "TENANTRY_ENV": "production",
    "TENANTRY_DATABASE_URL": "postgresql://tenantry_app@db.invalid/tenantry",
    "TENANTRY_TOKEN_PRIVATE_KEY": "unused",
    "TENANTRY_KEY_ENCRYPTION_KEY": "unused",
    "TENANTRY_SMTP_URL": "smtp://mail.invalid",
    "TENANTRY_PUBLIC_URL": "https://tenantry.invalid",
}


Seed = Callable[..., str]


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder that the command works in; no setting of this process reaches it."""
    # Not `tmp_path`: another pytest that starts closes that folder to the user that PostgreSQL runs as for root.
    with TemporaryDirectory(prefix="tenantry-seed-") as folder, monkeypatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("TENANTRY_")]:
            patch.delenv(name)
        patch.setenv("TENANTRY_HOME", folder)
        patch.chdir(folder)
        yield Path(folder)


@pytest.fixture
def seed(home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Iterator[Seed]:
    """Runs the command as its entry point does, and answers what it printed."""

    def run(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["tenantry", "seed", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        assert not ended.value.code
        return capfd.readouterr().out

    with embedded_server(Settings(home=str(home)), lambda _: None):
        yield run


def added(output: str) -> dict[str, int]:
    """Rows by table."""
    line = next(line for line in output.splitlines() if line.startswith("Added"))
    return {table: int(rows.replace(",", "")) for rows, table in re.findall(r"(\d[\d,]*) (\w+)", line)}


def accounts(output: str) -> dict[str, set[str]]:
    """Roles by e-mail address, as the command prints them."""
    found: dict[str, set[str]] = {}
    for line in output.partition("Accounts to log in with")[2].splitlines()[1:]:
        if "@" in line:
            roles = found[line.strip()] = set()
        else:
            roles.add(line.strip())
    return found


def test_printed_accounts_log_in(seed: Seed, home: Path) -> None:
    """Each printed account logs in with the kept password and has its roles; tenants see their own projects only."""
    printed = seed("--scale", SCALE)
    password = (home / "seed-password").read_text()
    held: dict[str, set[str]] = {}
    totals: dict[str, int] = {}
    with TestClient(create_app(Settings(home=str(home))), base_url="http://127.0.0.1/api/v1") as client:
        for email in accounts(printed):
            login = {"email": email, "password": password}
            tenants = client.get("/tenants", headers=logged_in(client, login)).json()["items"]
            held[email] = {f"{tenant['role']} of {tenant['name']}" for tenant in tenants}
            for tenant in tenants:
                headers = logged_in(client, {**login, "tenant_id": tenant["id"]})
                page = client.get("/projects?limit=1&include_total=true", headers=headers).json()
                totals[tenant["id"]] = page["total"]

    assert accounts(printed) == held
    assert [1, 3, 1] == [len(roles) for roles in held.values()]
    assert [True] * 3 == [total > 0 for total in totals.values()]
    assert added(printed)["projects"] == sum(totals.values()) == 500
    assert f"password {password}\n" in printed
    assert 0o600 == S_IMODE((home / "seed-password").stat().st_mode)


def test_second_run_adds_nothing_and_a_larger_one_the_rest(seed: Seed) -> None:
    """The same scale again adds no row and prints the same accounts; twice the scale adds as much again."""
    first, again, larger = (seed("--scale", scale) for scale in (SCALE, SCALE, "0.1"))
    rows = [{**added(output), "memberships": 0} for output in (first, larger)]

    assert [
        {"users": 10, "tenants": 3, "projects": 500, "memberships": 0},
        {"users": 10, "projects": 500, "memberships": 0},
    ] == rows
    assert {} == added(again)
    assert accounts(first) == accounts(again) == accounts(larger)


def test_production_is_refused(home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    """In production the command says so in a sentence, ends with 2 and leaves no file."""
    for name, value in PRODUCTION.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "argv", ["tenantry", "seed"])
    with pytest.raises(SystemExit) as ended:
        main()

    assert 2 == ended.value.code
    assert "TENANTRY_ENV: seeding is for development, and this is production\n" == capfd.readouterr().err
    assert [] == list(home.iterdir())


def logged_in(client: TestClient[Litestar], login: dict[str, str]) -> dict[str, str]:
    token = client.post("/auth/login", json=login).json()["access_token"]
    return {"Authorization": f"Bearer {token}"}
