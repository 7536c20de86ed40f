"""`just feature NAME` gives a team a slice that works before they have written a line of it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tenantry.scaffold import UnsuitableName, scaffold, singular_of

TENANTRY = (sys.executable, "-c", "from tenantry.cli import main; main()")


@pytest.fixture
def copy(pytestconfig: pytest.Config) -> Iterator[Path]:
    """The repository's slices and migrations, to add to."""
    # Not `tmp_path`: another pytest that starts closes that folder to the user that PostgreSQL runs as for root.
    with TemporaryDirectory(prefix="tenantry-scaffold-") as folder:
        for name in ("features", "migrations"):
            shutil.copytree(
                pytestconfig.rootpath / name, Path(folder, name), ignore=shutil.ignore_patterns("__pycache__")
            )
        shutil.copy(pytestconfig.rootpath / "pyproject.toml", folder)
        Path(folder, "platform").symlink_to(pytestconfig.rootpath / "platform")
        yield Path(folder)


def run(folder: Path, *command: str) -> str:
    """Run in `folder`, whose packages come before those of this repository."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("TENANTRY_", "PYTEST_"))}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_new_slice_works(copy: Path) -> None:
    """A generated slice is formatted, migrates with row-level security, and passes its tests of routes and headers."""
    run(copy, *TENANTRY, "feature", "purchase_orders")
    run(copy, sys.executable, "-m", "ruff", "format", "features/purchase_orders")
    run(copy, sys.executable, "-m", "ruff", "check", "features/purchase_orders")
    run(copy, *TENANTRY, "database", "upgrade", "--no-prompt")
    run(copy, *TENANTRY, "database", "make-migrations", "-m", "purchase_orders_create", "--no-prompt")
    tested = run(copy, sys.executable, "-m", "pytest", "-q", "-n", "0", "features/purchase_orders")

    (migration,) = (copy / "migrations" / "versions").glob("*_purchase_orders_create.py")
    assert "op.enable_tenant_rls('purchase_orders')" in migration.read_text()
    assert "7 passed" in tested


@pytest.mark.parametrize(
    "name",
    [
        "projects",  # a slice
        "sessions",  # a table of another slice
        "Invoices",
        "../invoices",
        "classes",  # one is a keyword
        "headers",  # a parameter of Litestar's handlers
        "references",  # reserved in SQL
        "statistics",  # in the standard library
        "order_utils",  # a drawer
        "status",  # in the singular
        "a_name_that_is_longer_than_an_index_allows",
    ],
)
def test_unsuitable_name(name: str, pytestconfig: pytest.Config) -> None:
    """A name that would break something, or is taken, is refused by name, and nothing is written."""
    before = set((pytestconfig.rootpath / "features").rglob("*.py"))

    with pytest.raises(UnsuitableName, match=r"^\S+: ."):
        scaffold(name)

    assert before == set((pytestconfig.rootpath / "features").rglob("*.py"))


@pytest.mark.parametrize(
    ("plural", "singular"),
    [
        ("invoices", "invoice"),
        ("categories", "category"),
        ("addresses", "address"),
        ("boxes", "box"),
        ("branches", "branch"),
        ("purchase_orders", "purchase_order"),
    ],
)
def test_singular(plural: str, singular: str) -> None:
    """The usual plurals need no `--singular`."""
    assert singular == singular_of(plural)
