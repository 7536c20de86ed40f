"""The lock files hold what `pyproject.toml` asks for; offline, so it cannot depend on what a registry says today."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

RUNTIME, DEVELOPMENT, BENCHMARK = "requirements.lock", "requirements-dev.lock", "requirements-bench.lock"
EXTRAS = [(RUNTIME, []), (DEVELOPMENT, ["embedded", "dev"]), (BENCHMARK, ["embedded", "dev", "bench"])]
PIN = re.compile(r"^(?P<name>[\w.-]+)(?:\[.*\])?==(?P<version>\S+)(?P<rest>.*(?:\n    .*)*)", re.MULTILINE)


@pytest.fixture
def root(pytestconfig: pytest.Config) -> Path:
    return pytestconfig.rootpath


def pins(lock: Path) -> dict[str, str]:
    return {canonicalize_name(match["name"]): match["version"] for match in PIN.finditer(lock.read_text())}


@pytest.mark.parametrize(("lock", "extras"), EXTRAS)
def test_what_the_project_asks_for_is_locked(lock: str, extras: list[str], root: Path) -> None:
    """Every requirement is met by a pin; after a change `just lock` makes it so."""
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    texts = [*project["dependencies"], *(text for extra in extras for text in project["optional-dependencies"][extra])]
    asked = [requirement for requirement in map(Requirement, texts) if requirement.name != project["name"]]
    locked = pins(root / lock)

    unmet = [str(r) for r in asked if not r.specifier.contains(locked.get(canonicalize_name(r.name), "0"))]

    assert [] == unmet


@pytest.mark.parametrize(("part", "whole"), [(RUNTIME, DEVELOPMENT), (DEVELOPMENT, BENCHMARK)])
def test_production_runs_what_was_tested(part: str, whole: str, root: Path) -> None:
    """Each lock is part of the next, with the same versions: tests and benchmark are of what production runs."""
    assert pins(root / part).items() <= pins(root / whole).items()


@pytest.mark.parametrize("lock", [RUNTIME, DEVELOPMENT, BENCHMARK])
def test_every_pin_has_a_hash_and_no_address(lock: str, root: Path) -> None:
    """What is installed is what was locked, from whatever index the machine uses."""
    text = (root / lock).read_text()

    assert [] == [match["name"] for match in PIN.finditer(text) if "--hash=sha256:" not in match["rest"]]
    assert "://" not in text
