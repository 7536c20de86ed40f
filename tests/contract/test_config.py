"""Where a setting may come from, which source is stronger, and how a wrong one is refused."""

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from tenantry.config import ConfigurationError, Settings, load_settings, masked
from tenantry.db.engine import migration_url, runtime_url

MAIL, MAIL_FILE = "TENANTRY_MAIL_FROM", "TENANTRY_MAIL_FROM_FILE"
COMMAND = (sys.executable, "-c", "from tenantry.cli import main; main()", "config")
PRODUCTION = {
    "TENANTRY_ENV": "production",
    "TENANTRY_DATABASE_URL": "postgresql://tenantry_app@db.example/tenantry",
    "TENANTRY_TOKEN_PRIVATE_KEY": "-----BEGIN PRIVATE KEY-----",
    "TENANTRY_KEY_ENCRYPTION_KEY": "sealed",
    "TENANTRY_SMTP_URL": "smtp://mail.example",
    "TENANTRY_PUBLIC_URL": "https://api.example",
}


@pytest.fixture
def env_file(tmp_path: Path) -> Path:
    return tmp_path / ".env"


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A file such as an orchestrator mounts, with the line end that editors add."""
    path = tmp_path / "secret"
    path.write_text("secret file\n")
    return path


def faults(environ: dict[str, str], env_file: Path) -> list[str]:
    """The variable that each line of the refusal begins with."""
    with pytest.raises(ConfigurationError) as refusal:
        load_settings(environ, env_file)
    return variables(str(refusal.value).splitlines())


def variables(lines: Iterable[str]) -> list[str]:
    return [line.partition(":")[0] for line in lines]


@pytest.mark.parametrize(
    ("given", "origin"),
    [
        ({"environment", "secret file", ".env", ".env secret file"}, "environment"),
        ({"secret file", ".env", ".env secret file"}, "secret file"),
        ({".env", ".env secret file"}, ".env"),
        ({".env secret file"}, ".env secret file"),
        (set(), "default"),
    ],
)
def test_the_stronger_source_counts(given: set[str], origin: str, env_file: Path, secret: Path) -> None:
    """The environment beats its secret file, that beats `.env`, that beats the default; the origin is known."""
    environ = {MAIL: "environment"} if "environment" in given else {}
    environ |= {MAIL_FILE: str(secret)} if "secret file" in given else {}
    lines = [f"{MAIL}=.env"] if ".env" in given else []
    lines += [f"{MAIL_FILE}={secret}"] if ".env secret file" in given else []
    env_file.write_text("\n".join(lines))

    loaded = load_settings(environ, env_file)

    expected = Settings().mail_from if origin == "default" else origin.removeprefix(".env ")
    assert (expected, origin) == (loaded.settings.mail_from, loaded.origins["mail_from"])


def test_an_empty_value_is_none(env_file: Path) -> None:
    """A variable that is set to nothing counts as not set, as compose files write it."""
    assert Settings() == load_settings({"TENANTRY_PORT": "", MAIL_FILE: ""}, env_file).settings


def test_values_are_typed(env_file: Path) -> None:
    """Text becomes the type of the setting."""
    loaded = load_settings({"TENANTRY_PORT": "80", "TENANTRY_DATABASE_TIMEOUT_SECONDS": "0.5"}, env_file)

    assert (80, 0.5) == (loaded.settings.port, loaded.settings.database_timeout_seconds)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("TENANTRY_DATABSE_URL", "postgresql://db.example/tenantry"),
        ("TENANTRY_PORT", "eighty"),
        ("TENANTRY_PORT", "65536"),
        ("TENANTRY_WORKERS", "0"),
        ("TENANTRY_ENV", "staging"),
        ("TENANTRY_PUBLIC_URL", "api.example"),
        ("TENANTRY_DATABASE_URL_FILE", "/nowhere/database-url"),
    ],
)
def test_a_wrong_variable_is_refused_by_name(variable: str, value: str, env_file: Path) -> None:
    """Unknown, of a wrong type, out of range or an unreadable file: nothing starts, and the variable is named."""
    in_environment = faults({variable: value}, env_file)
    env_file.write_text(f"{variable}={value}")

    assert [variable] == in_environment == faults({}, env_file)


def test_all_faults_are_named_at_once(env_file: Path) -> None:
    """Who has two variables wrong learns of both in one go."""
    wrong = {"TENANTRY_PORT": "eighty", "TENANTRY_ENV": "staging", "TENANTRY_DATABSE_URL": "x"}

    assert sorted(wrong) == sorted(faults(wrong, env_file))


def test_a_refusal_keeps_secrets(env_file: Path, tmp_path: Path) -> None:
    """A wrong secret is named, never shown."""
    undecodable = tmp_path / "key"
    undecodable.write_bytes(b"hunter2\xff")
    with pytest.raises(ConfigurationError) as refusal:
        load_settings({"TENANTRY_TOKEN_PRIVATE_KEY_FILE": str(undecodable)}, env_file)

    assert ["TENANTRY_TOKEN_PRIVATE_KEY_FILE"] == variables(str(refusal.value).splitlines())
    assert "hunter2" not in str(refusal.value)


def test_an_empty_secret_file_is_refused(env_file: Path, tmp_path: Path) -> None:
    """A secret that was never filled in does not make production fall back to a default."""
    (tmp_path / "empty").write_text("\n")
    environ = {name: value for name, value in PRODUCTION.items() if name != "TENANTRY_TOKEN_PRIVATE_KEY"}
    environ["TENANTRY_TOKEN_PRIVATE_KEY_FILE"] = str(tmp_path / "empty")

    assert "TENANTRY_TOKEN_PRIVATE_KEY_FILE" in faults(environ, env_file)


def test_migrations_need_no_secrets_of_the_service(env_file: Path) -> None:
    """A command that does not serve runs in production with what it needs itself."""
    loaded = load_settings({"TENANTRY_ENV": "production"}, env_file, serving=False)

    assert loaded.settings.is_production


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("postgresql://u:9/Secr3t@db/x", "postgresql://u:***@db/x"),
        ("postgresql://u:Secr3t?x#y@db:5432/x?password=Secr3t", "postgresql://u:***@db:5432/x"),
        ("postgresql://u:Se@cr3t@db/x", "postgresql://u:***@db/x"),
        ("postgresql://db/x?password=Secr3t", "postgresql://db/x"),
        ("postgresql://u:Secr3t@h:abc/db", "postgresql://u:***@h:abc/db"),
        ("Secr3t", "***"),
    ],
)
def test_no_password_is_shown(address: str, shown: str) -> None:
    """Of an address everything may be shown but its password, whatever characters that has."""
    assert shown == masked("database_url", address)


def test_a_migration_address_alone_is_not_the_embedded_database() -> None:
    """Whoever names only the database to migrate gets that one, and nothing serves another."""
    settings = Settings(migration_database_url="postgresql://tenantry_migrator@db.invalid/tenantry")

    assert "db.invalid" == migration_url(settings).host
    with pytest.raises(ConfigurationError, match="TENANTRY_DATABASE_URL"):
        runtime_url(settings)


@pytest.mark.parametrize("missing", sorted(PRODUCTION.keys() - {"TENANTRY_ENV"}))
def test_production_requires(missing: str, env_file: Path) -> None:
    """Production does not start on a default that is meant for development."""
    environ = {name: value for name, value in PRODUCTION.items() if name != missing}

    assert [missing] == faults(environ, env_file)


@pytest.mark.asvs("11.4.2")
def test_production_hashes_as_owasp_asks(env_file: Path) -> None:
    """Less memory needs more passes over it; in production not even the cheapest that OWASP names can be undercut."""
    cheap = PRODUCTION | {"TENANTRY_PASSWORD_HASH_MEMORY_KIB": "7168"}
    enough = cheap | {"TENANTRY_PASSWORD_HASH_ITERATIONS": "5"}

    assert ["TENANTRY_PASSWORD_HASH_MEMORY_KIB"] == faults(cheap, env_file)
    assert 7168 == load_settings(enough, env_file).settings.password_hash_memory_kib


def test_production_starts_with_all_it_requires(env_file: Path) -> None:
    """Nothing but what the tests above name is required."""
    assert load_settings(PRODUCTION, env_file).settings.is_production


def config(folder: Path, **environ: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        COMMAND, cwd=folder, env={"COLUMNS": "200", **environ}, capture_output=True, text=True, check=False
    )


def test_command_masks_secrets_and_names_origins(tmp_path: Path, secret: Path) -> None:
    """`tenantry config` shows where each value comes from, and of a secret no more than its server."""
    (tmp_path / ".env").write_text("TENANTRY_WORKERS=3")
    address = "postgresql://tenantry_app:hunter2@db.example:6432/tenantry?password=hunter2"
    shown = config(
        tmp_path, TENANTRY_DATABASE_URL=address, TENANTRY_TOKEN_PRIVATE_KEY_FILE=str(secret), TENANTRY_PORT="8001"
    ).stdout

    rows = {cells[0]: cells[1:] for line in shown.splitlines() if len(cells := line.strip("│ ").split("│")) == 3}
    told = {name.strip(): tuple(cell.strip() for cell in cells) for name, cells in rows.items()}
    assert ("8001", "environment") == told["TENANTRY_PORT"]
    assert ("3", ".env") == told["TENANTRY_WORKERS"]
    assert ("127.0.0.1", "default") == told["TENANTRY_HOST"]
    assert ("***", "secret file") == told["TENANTRY_TOKEN_PRIVATE_KEY"]
    assert ("postgresql://tenantry_app:***@db.example:6432/tenantry", "environment") == told["TENANTRY_DATABASE_URL"]
    assert "hunter2" not in shown


def test_command_refuses_in_sentences(tmp_path: Path) -> None:
    """A wrong setting ends the command with one sentence for each, and no traceback."""
    refused = config(tmp_path, TENANTRY_PORT="eighty", TENANTRY_ENV="staging")

    assert 2 == refused.returncode
    assert ["TENANTRY_ENV", "TENANTRY_PORT"] == sorted(variables(refused.stderr.splitlines()))
