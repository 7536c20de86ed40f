"""Whoever adds a tenant-owned table gets its isolation from the generator, and nothing to write by hand."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import NullPool, create_engine

from tenantry.testing.databases import DatabaseUrls, TestDatabases
from tests.contract.commands import tenantry
from tests.contract.schema_dump import schema_of
from tests.isolation.catalogue import faults

ROOT = Path(__file__).parents[2]
MODELS = """
from datetime import datetime
from uuid import UUID
from sqlalchemy import ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column
from tenantry.db.base import TenantOwned, tenant_foreign_key

class NoteRow(TenantOwned):
    __tablename__ = "notes"
    __table_args__ = (
        UniqueConstraint("tenant_id", "title"),
        tenant_foreign_key("parent_id", "notes.id"),
        Index(None, "tenant_id", "created_at", "id"),
    )
    title: Mapped[str]
    parent_id: Mapped[UUID | None] = mapped_column(default=None)
    read_at: Mapped[datetime | None] = mapped_column(default=None)
"""


@pytest.fixture
def clone(databases: TestDatabases, worker_id: str) -> Iterator[DatabaseUrls]:
    with databases.clone(f"{worker_id}_planted") as urls:
        yield urls


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """Copies of the slices, with one planted, and of the migrations."""
    for folder in ("features", "migrations"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    planted = tmp_path / "features" / "notes"
    planted.mkdir()
    (planted / "__init__.py").write_text('"""Planted."""\n')
    (planted / "models.py").write_text(MODELS)
    return tmp_path


def test_generated_migration_isolates(clone: DatabaseUrls, sources: Path) -> None:
    """The generated migration enables row-level security, and once it has run the catalogue finds no fault."""
    before = schema_of(clone.admin)
    names = migrations_of(sources)
    run(clone, sources, "make-migrations --autogenerate -m 'notes create' --no-prompt", "upgrade --no-prompt", "check")
    written = migrations_of(sources) - names
    migration = "".join((sources / "migrations" / "versions" / name).read_text() for name in written)
    found = faults_of(clone)
    run(clone, sources, "downgrade --no-prompt")

    assert [True] == [bool(re.fullmatch(r"\d{12}_notes_create\.py", name)) for name in written]
    assert "    op.enable_tenant_rls('notes')\n" in migration
    assert [] == re.findall(r"tenantry|advanced_alchemy|POLICY", migration)
    assert [] == found
    assert before == schema_of(clone.admin)


def test_table_without_isolation_is_drift(clone: DatabaseUrls, sources: Path) -> None:
    """A tenant-owned table that somebody made by hand is reported before anything runs on it."""
    with psycopg.connect(clone.conninfo) as admin:
        admin.execute("SET ROLE tenantry_owner")
        admin.execute("CREATE TABLE notes (tenant_id uuid, id uuid, PRIMARY KEY (tenant_id, id))")

    checked = tenantry(clone, sources, "database check", sources=(sources,))

    assert checked.returncode != 0
    assert "enable_tenant_rls" in checked.stdout + checked.stderr


def run(urls: DatabaseUrls, sources: Path, *commands: str) -> None:
    outcome = tenantry(urls, sources, *(f"database {command}" for command in commands), sources=(sources,))
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr


def migrations_of(sources: Path) -> set[str]:
    return {path.name for path in (sources / "migrations" / "versions").glob("*.py")}


def faults_of(urls: DatabaseUrls) -> list[str]:
    with create_engine(urls.admin, poolclass=NullPool).connect() as connection:
        return faults(connection)
