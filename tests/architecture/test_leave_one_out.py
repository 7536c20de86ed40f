"""A slice that no other imports can be deleted: what is left imports, boots and passes its tests."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from litestar.routes import BaseRoute, HTTPRoute

from tenantry.app import create_app
from tenantry.config import Settings
from tests.architecture.contracts import leaf_slices

ROOT = Path(__file__).parents[2]
LIVE = "/health/live"
PROBE = """
import asyncio, json, pkgutil, sys
from importlib import import_module
from pathlib import Path

import features, httpx
from tenantry.app import create_app
from tenantry.config import Settings

assert Path(features.__file__).is_relative_to(Path.cwd()), features.__file__
for module in pkgutil.walk_packages(features.__path__, "features."):
    if ".tests" not in module.name:
        import_module(module.name)

async def main():
    # Nothing listens there: what answers now needs no database.
    app = create_app(Settings(home="home", database_url="postgresql://nobody@127.0.0.1:1/none"))
    async with app.lifespan(), httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://t") as client:
        live = (await client.get("/health/live")).status_code
        document = (await client.get("/docs/openapi.json")).json()
    paths = [route.path for route in app.routes]
    print(json.dumps({"live": live, "paths": paths, "documented": list(document["paths"])}))

asyncio.run(main())
"""


@pytest.fixture(autouse=True)
def _compile_once(monkeypatch, tmp_path_factory):
    """Where Python is told not to keep what it compiles, each process would take seconds to compile the libraries."""
    if sys.dont_write_bytecode:
        monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
        monkeypatch.setenv("PYTHONPYCACHEPREFIX", str(tmp_path_factory.getbasetemp() / "bytecode"))


def test_there_are_leaves():
    """The proofs below prove something."""
    assert leaf_slices()


@pytest.mark.parametrize("leaf", leaf_slices())
def test_the_service_boots_without_a_leaf_slice(leaf, tmp_path):
    """Everything left imports, answers, and documents its own routes and none of the slice's."""
    whole = create_app(Settings(home=str(tmp_path / "home")))
    gone = {route.path for route in whole.routes if belongs_to(route, leaf)}

    rest = probe(copy_without(leaf, tmp_path))

    assert gone
    assert {route.path for route in whole.routes} - gone == set(rest["paths"])
    assert set(whole.openapi_schema.paths or ()) - set(map(documented, gone)) == set(rest["documented"])
    assert (404 if LIVE in gone else 200) == rest["live"]


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("leaf", leaf_slices())
def test_the_other_slices_pass_their_tests_without_a_leaf_slice(leaf, tmp_path):
    """No test of a slice needs a slice that its code does not need."""
    tests = run_remaining_tests(copy_without(leaf, tmp_path))

    assert tests.returncode == 0, tests.stdout


def copy_without(leaf: str, folder: Path) -> Path:
    """The slices but one, with the configuration that their tests run under."""
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "features", folder / "features", ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", folder)
    shutil.rmtree(folder / "features" / leaf, ignore_errors=True)
    return folder


def probe(copy: Path) -> dict[str, Any]:
    """What the service in the copy says of itself, in its last line."""
    answer = subprocess.run(
        [sys.executable, "-c", PROBE], cwd=copy, env=environment(copy), capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stderr
    said: dict[str, Any] = json.loads(answer.stdout.splitlines()[-1])
    return said


def run_remaining_tests(copy: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "features", "-q", "--numprocesses=0", "-p", "no:cacheprovider"]
    return subprocess.run(command, cwd=copy, env=environment(copy), capture_output=True, text=True, check=False)


def environment(copy: Path) -> dict[str, str]:
    """The copy before the original; no setting of whoever runs the tests, and nothing of this very test run."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("TENANTRY_", "PYTEST_"))}
    return {**kept, "PYTHONPATH": os.pathsep.join(map(str, (copy, ROOT / "platform", ROOT)))}


def belongs_to(route: BaseRoute, slice_: str) -> bool:
    handlers = route.route_handlers if isinstance(route, HTTPRoute) else []
    return any(handler.fn.__module__.startswith(f"features.{slice_}.") for handler in handlers)


def documented(path: str) -> str:
    """`/projects/{id:uuid}` as the document writes it: `/projects/{id}`."""
    return re.sub(r":\w+}", "}", path)
