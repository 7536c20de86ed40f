"""`just lint-openapi`: Redocly's linter finds nothing in the OpenAPI document, but what is planted in a copy of it.

The linter is one package of npm without dependencies, of an exact version whose content is known here.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from copy import deepcopy
from json import JSONDecoder
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import rich_click as click

from tenantry.app import create_app

PACKAGE, VERSION = "@redocly/cli", "2.77.0"
CONTENT = "sha512-XUa4hURDWLPG9WukIXo+UBqa9VpeTndmLI5PHu9QDkwtwH990Jsgz9nl2m1pZjsWrKFPP7avn6etRxxDbuD2Bg=="
CONFIG = Path(__file__).with_name("redocly.yaml")
HOME = Path(".node")
PLANTED: dict[str, Callable[[dict[str, Any]], object]] = {
    "operation-operationId": lambda operation: operation.pop("operationId"),
    "operation-summary": lambda operation: operation.pop("summary"),
    "security-defined": lambda operation: operation.pop("security"),
    "no-unresolved-refs": lambda operation: operation["responses"].update({"201": {"$ref": "#/components/none"}}),
}
"""By the rule that finds it, what is done to an operation."""


def main() -> int:
    program = installed()
    document = create_app().openapi_schema.to_schema()
    with TemporaryDirectory(prefix="tenantry-") as folder:
        for name, each in {"openapi": document, "planted": planted(document)}.items():
            Path(folder, f"{name}.json").write_bytes(msgspec.json.encode(each))
        faults, found = linted(program, Path(folder), "openapi.json", "planted.json")
    missed = PLANTED.keys() - {fault["ruleId"] for fault in found}
    told = [f"{fault['ruleId']}: {fault['message']} {fault['location'][0].get('pointer', '')}" for fault in faults]
    told += [f"{rule}: what was planted for it was not found" for rule in sorted(missed)]
    click.echo(
        "\n".join(told) or f"Nothing in {len(document['paths'])} paths, and {len(PLANTED)} faults that were planted."
    )
    return 1 if told else 0


def linted(program: Path, folder: Path, *files: str) -> Iterator[list[dict[str, Any]]]:
    """What is found in each file."""
    command = (tool("node"), str(program.absolute()), "lint", "--config", str(CONFIG), "--format", "json", *files)
    quiet = {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"}
    done = subprocess.run(
        command, cwd=folder, env=os.environ | quiet, capture_output=True, text=True, check=False, timeout=120
    )
    told, end = done.stdout, 0
    for _ in files:
        report, end = JSONDecoder().raw_decode(told, end)
        yield report["problems"]


def planted(document: dict[str, Any]) -> dict[str, Any]:
    broken = deepcopy(document)
    operations = [operation for item in broken["paths"].values() for operation in item.values()]
    for spoil, operation in zip(PLANTED.values(), operations, strict=False):
        spoil(operation)
    return broken


def installed() -> Path:
    """
    Raises:
        SystemExit: what npm has brought is not what is known here.
    """
    package = HOME / "node_modules" / PACKAGE
    lock = HOME / "node_modules" / ".package-lock.json"
    if not lock.exists() or read(package / "package.json")["version"] != VERSION:
        options = (
            "--no-package-lock",
            "--ignore-scripts",
            "--no-audit",
            "--no-fund",
            "--silent",
            "--prefix",
            str(HOME),
        )
        subprocess.run((tool("npm"), "install", *options, f"{PACKAGE}@{VERSION}"), check=True, timeout=300)
    packages = read(lock)["packages"]
    if {f"node_modules/{PACKAGE}": CONTENT} != {name: each["integrity"] for name, each in packages.items()}:
        sys.exit(f"npm has brought another {PACKAGE} {VERSION} than the one that is known in {__file__}")
    return package / "bin" / "cli.js"


def tool(name: str) -> str:
    """Node and npm come in a wheel."""
    return str((HOME / "venv" / "bin" / name).absolute())


def read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode(path.read_bytes())
    return found


if __name__ == "__main__":
    sys.exit(main())
