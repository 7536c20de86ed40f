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
from tenantry.testing.reach import leaf_slices

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

PLANTED = """
async def test_own(api, acme):
    assert 200 == (await api.as_(acme.owner).get("/tenants/current")).status_code


async def test_foreign(api, acme):
    assert 200 == (await api.as_(acme.owner).get("/projects")).status_code
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

    rest = probe(copy_of_slices(tmp_path, leaf))

    assert gone
    assert {route.path for route in whole.routes} - gone == set(rest["paths"])
    assert set(whole.openapi_schema.paths or ()) - set(map(documented, gone)) == set(rest["documented"])
    assert (404 if LIVE in gone else 200) == rest["live"]


def test_a_test_that_needs_a_leaf_of_others_fails(tmp_path):
    """A test may call its own slice and those that cannot be deleted; of any other it fails, with the route's name."""
    copy = copy_of_slices(tmp_path)
    (copy / "features" / "tenants" / "tests" / "test_planted.py").write_text(PLANTED)

    tests = run_tests(copy, "features/tenants/tests/test_planted.py")

    assert "1 failed, 1 passed" in tests.stdout, tests.stdout
    assert "no other slice imports the one that answers: GET /api/v1/projects of projects" in tests.stdout


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_what_cannot_be_deleted_passes_its_tests_alone(tmp_path):
    """All leaves gone at once, the tests of the other slices pass."""
    # What is a leaf of the copy alone is none.
    tests = run_tests(copy_of_slices(tmp_path, *leaf_slices()), "features", "-p", "no:reach")

    assert tests.returncode == 0, tests.stdout


def copy_of_slices(folder: Path, *left_out: str) -> Path:
    """The slices, with the configuration that their tests run under."""
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "features", folder / "features", ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", folder)
    for slice_ in left_out:
        shutil.rmtree(folder / "features" / slice_)
    return folder


def probe(copy: Path) -> dict[str, Any]:
    """What the service in the copy says of itself, in its last line."""
    answer = subprocess.run(
        [sys.executable, "-c", PROBE], cwd=copy, env=environment(copy), capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stderr
    said: dict[str, Any] = json.loads(answer.stdout.splitlines()[-1])
    return said


def run_tests(copy: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", *arguments, "-q", "--numprocesses=0", "-p", "no:cacheprovider"]
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
