"""The contracts of `pyproject.toml` hold, and each reports a violation that is planted for it."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import NamedTuple

import pytest

from tenantry.testing.reach import leaf_slices

ROOT = Path(__file__).parents[2]
CONTRACTS = {
    contract["id"]: contract
    for contract in tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
}
LAWFUL = {
    "sun/__init__.py": '"""Planted; anyone."""',
    "sun/plugin.py": "from features.sun import controller, jobs, listeners\nfrom tenantry.http import policy",
    "sun/controller.py": "from features.sun import api, dtos, errors, models, service\nimport tenantry.http",
    "sun/listeners.py": "from features.sun import events, repository",
    "sun/jobs.py": "from features.sun import service",
    "sun/seed.py": "from features.sun import models",
    "sun/api.py": "from features.moon.api import Phase\nfrom features.sun import service, repository",
    "sun/service.py": "from features.moon.api import Phase\nfrom features.sun import events, repository",
    "sun/repository.py": "from features.sun import dtos, models",
    "sun/models.py": "from features.sun import errors",
    "sun/dtos.py": "",
    "sun/events.py": "",
    "sun/errors.py": "",
    "sun/permissions.py": "",
    "sun/tests/__init__.py": "",
    "sun/tests/factories.py": "from features.sun import controller, models, seed",
    "moon/__init__.py": '"""Planted; anyone."""',
    "moon/plugin.py": "",
    "moon/api.py": "from features.moon.repository import Phases\nPhase = Phases",
    "moon/repository.py": "class Phases: ...",
}
"""Two slices that no contract knows of; `sun` uses all that a slice may use, `moon` through its door."""


class Plant(NamedTuple):
    contract: str
    path: str
    code: str
    reported: str
    """Part of what import-linter prints."""


PLANTED = [
    Plant("platform-knows-no-slice", "platform/tenantry/ids.py", "\nfrom features.sun.api import x",
          "tenantry.ids -> features.sun.api (l.2)"),
    Plant("platform-acyclic", "platform/tenantry/clock.py", "\nimport tenantry.cache.local",
          "tenantry.clock -> tenantry.cache.local (l.2)"),
    Plant("slices-independent", "features/sun/service.py", "import re\nfrom features.moon.repository import Phases",
          "features.sun.service -> features.moon.repository (l.2)"),
    Plant("slices-independent", "features/sun/models.py", "def late():\n    from features.moon import repository",
          "features.sun.models -> features.moon.repository (l.2)"),
    Plant("slices-independent", "features/sun/dtos.py", "import features.moon",
          "features.sun.dtos -> features.moon (l.1)"),
    Plant("slices-independent", "features/sun/tests/factories.py", "from features.moon.repository import Phases",
          "features.sun.tests.factories -> features.moon.repository (l.1)"),
    Plant("slices-acyclic", "features/moon/api.py", "from features.sun.api import Light",
          "features.moon.api -> features.sun.api (l.1)"),
    Plant("slice-layers", "features/sun/models.py", "import re\nfrom features.sun import service",
          "features.sun.models -> features.sun.service (l.2)"),
    Plant("slice-layers", "features/sun/repository.py", "from features.sun.api import x",
          "features.sun.repository -> features.sun.api (l.1)"),
    Plant("slice-layers", "features/sun/listeners.py", "from features.sun.controller import x",
          "features.sun.listeners -> features.sun.controller (l.1)"),
    Plant("slice-layers", "features/sun/dtos.py", "from features.sun.errors import x",
          "features.sun.dtos -> features.sun.errors (l.1)"),
    Plant("slice-layers", "features/sun/controller.py", "from features.sun.tests import factories",
          "features.sun.controller -> features.sun.tests.factories (l.1)"),
    Plant("slice-layers", "features/sun/utils.py", "", "- features.sun.utils"),
    Plant("slice-layers", "features/sun/parts/__init__.py", "", "- features.sun.parts"),
    Plant("slice-layers", "features/stray.py", "", "module features.stray.plugin does not exist"),
    Plant("seed-by-discovery", "features/sun/plugin.py", "from features.sun.seed import x",
          "features.sun.plugin -> features.sun.seed (l.1)"),
    Plant("http-in-controllers", "features/sun/repository.py", "from tenantry.http.page import page_request",
          "features.sun.repository -> tenantry.http.page (l.1)"),
]  # fmt: skip


@pytest.mark.parametrize("contract", CONTRACTS)
def test_the_code_keeps_the_contract(contract, report):
    """Nothing in the repository breaks this contract."""
    assert f"{CONTRACTS[contract]['name']} KEPT" in report, report


def test_a_new_slice_needs_no_change_of_a_contract(report, copy):
    """Two slices that no file names keep every contract, when they keep to the vocabulary and the door."""
    report_with_them = lint(copy)

    assert kept(report) == kept(report_with_them), report_with_them


@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: f"{plant.contract}-{plant.path}")
def test_the_contract_reports_what_is_planted(plant, copy):
    """A violation in a slice that no file names is reported, with its module and its line."""
    write(copy, {plant.path: plant.code})

    report = lint(copy, plant.contract)

    assert plant.reported in report, report


def test_every_contract_has_its_planted_violation():
    """A contract that nobody has seen bite is none."""
    assert set(CONTRACTS) == {plant.contract for plant in PLANTED}


def test_no_contract_names_a_slice():
    """A new folder is covered as it is: contracts speak of `features` and `features.*` only."""
    slices = {path.name for path in (ROOT / "features").iterdir() if (path / "plugin.py").exists()}
    named = [name for name in slices for contract in CONTRACTS.values() if f"features.{name}" in str(contract)]

    assert [] == named


def test_only_the_door_is_ignored():
    """Of all imports, only those of an `api` are taken out of a contract."""
    ignored = {pattern for contract in CONTRACTS.values() for pattern in contract.get("ignore_imports", [])}

    assert {"features.** -> features.*.api"} == ignored


def test_a_slice_that_another_imports_is_no_leaf(copy, monkeypatch):
    """`sun` knocks at the door of `moon`, so `moon` cannot be deleted and `sun` can."""
    (copy / "features").rename(copy / "planted_features")
    write(copy, {"planted_features/sun/service.py": "from planted_features.moon.api import Phase"})
    monkeypatch.syspath_prepend(copy)

    leaves = leaf_slices("planted_features")

    assert (True, False) == ("sun" in leaves, "moon" in leaves)


@pytest.fixture(scope="module")
def report():
    return lint(ROOT)


@pytest.fixture
def copy(tmp_path):
    """The platform and the slices, and two slices more."""
    for folder in ("features", "platform"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    write(tmp_path, {f"features/{path}": code for path, code in LAWFUL.items()})
    return tmp_path


def write(root: Path, files: dict[str, str]) -> None:
    for path, code in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(code)


def lint(root: Path, *contracts: str) -> str:
    """What import-linter says of the packages under `root`."""
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"]
    options = [option for contract in contracts for option in ("--contract", contract)]
    path = os.pathsep.join(map(str, (root, root / "platform", ROOT)))
    return subprocess.run(
        [*command, "--no-cache", "--no-logo", "--config", ROOT / "pyproject.toml", *options],
        cwd=root, env={**os.environ, "PYTHONPATH": path, "COLUMNS": "200"}, capture_output=True, text=True, check=False,
    ).stdout  # fmt: skip


def kept(report: str) -> set[str]:
    return {contract for contract, options in CONTRACTS.items() if f"{options['name']} KEPT" in report}
