"""The rules of `rules.py` hold, and each reports a violation that is planted for it."""

from pathlib import Path
from textwrap import indent
from typing import NamedTuple

import pytest

from tests.architecture.rules import RULES, Tree

ROOT = Path(__file__).parents[2]
REAL = Tree(ROOT)
MODELS = "class Base: ...\nclass TenantOwned(Base): ...\nclass OrgRow(Base): ...\nclass NoteRow(TenantOwned): ...\n"
SLICE = {"features/__init__.py": '"""Why."""', "features/a/__init__.py": '"""Why."""', "features/a/models.py": MODELS}
# Written so that whoever searches for silenced checks does not find the planted ones.
NOQA, IGNORE = "NOQA".lower(), "TYPE: IGNORE".lower()
LONG_FUNCTION = "def long():\n" + "    x = 1\n" * 40


class Plant(NamedTuple):
    rule: str
    path: str
    code: str
    line: int = 1


PLANTED = [
    Plant("controllers_import_no_sqlalchemy", "features/a/controller.py", "import re\nfrom sqlalchemy import text", 2),
    Plant("controllers_import_no_sqlalchemy", "features/a/controller.py", "def f():\n    import sqlalchemy.orm", 2),
    Plant("controllers_import_no_sqlalchemy", "features/a/controller.py", "from advanced_alchemy import base"),
    Plant("slices_evade_no_wall", "features/a/service.py", "from importlib import import_module"),
    Plant("slices_evade_no_wall", "features/a/service.py", "def f():\n    import importlib.util as util", 2),
    Plant("slices_evade_no_wall", "features/a/tests/test_a.py", "from pkgutil import resolve_name"),
    Plant("slices_evade_no_wall", "features/a/service.py", "x = 1\n__import__('features.b.models')", 2),
    Plant("slices_evade_no_wall", "features/a/service.py", "run = exec"),
    Plant("slices_evade_no_wall", "features/a/service.py", "eval('1')"),
    Plant("slices_evade_no_wall", "features/a/service.py", "import sys\nsys.modules['features.b']", 2),
    Plant("slices_leave_the_transaction_alone", "features/a/service.py", "async def f(u):\n    await u.commit()", 2),
    Plant("slices_leave_the_transaction_alone", "features/a/service.py", "undo = session.rollback"),
    Plant("slices_reach_outside_by_injection", "features/a/service.py", "import re\nimport httpx", 2),
    Plant("slices_reach_outside_by_injection", "features/a/controller.py", "from urllib.request import urlopen"),
    Plant("slices_reach_outside_by_injection", "features/a/service.py", "def f():\n    import redis.asyncio", 2),
    Plant("slices_reach_outside_by_injection", "features/a/controller.py", "from litestar import background_tasks"),
    Plant(
        "slices_reach_outside_by_injection", "features/a/controller.py",
        "from litestar.background_tasks import BackgroundTask",
    ),
    Plant("slices_have_an_empty_init", "features/a/__init__.py", ""),
    Plant("slices_have_an_empty_init", "features/a/__init__.py", '"""Why."""\nfrom features.a import models', 2),
    Plant("folders_are_packages", "features/a/parts/x.py", "x = 1"),
    Plant("no_silenced_check_without_a_reason", "platform/tenantry/x.py", f"x = 1  # {NOQA}"),
    Plant("no_silenced_check_without_a_reason", "platform/tenantry/x.py", f"x = 1  # {NOQA} -- a reason, but no code"),
    Plant("no_silenced_check_without_a_reason", "features/a/dtos.py", f"x = 1\ny = 2  # {NOQA}: S105", 2),
    Plant("no_silenced_check_without_a_reason", "tests/test_x.py", f"x = 1  # {IGNORE}  # a reason, but no code"),
    Plant("no_silenced_check_without_a_reason", "migrations/env.py", f"x = 1  # {IGNORE}[attr-defined]"),
    Plant("no_silenced_check_without_a_reason", "migrations/env.py", "# mypy: ignore-errors"),
    Plant("files_are_short", "platform/tenantry/x.py", "x = 1\n" * 251, 251),
    Plant("files_are_short", "features/a/service.py", "x = 1\n" * 251, 251),
    Plant("files_are_short", "features/a/tests/test_a.py", "x = 1\n" * 301, 301),
    Plant("files_are_short", "platform/tenantry/app.py", "x = 1\n" * 61, 61),
    Plant("functions_are_short", "platform/tenantry/x.py", LONG_FUNCTION),
    Plant("functions_are_short", "features/a/service.py", "class A:\n" + indent(LONG_FUNCTION, "    "), 2),
    Plant("names_say_what_is_inside", "features/a/utils.py", "x = 1"),
    Plant("names_say_what_is_inside", "platform/tenantry/common/x.py", "x = 1"),
    Plant("names_say_what_is_inside", "platform/tenantry/cache_manager.py", "x = 1"),
    Plant("names_say_what_is_inside", "tests/helpers.py", "x = 1"),
    Plant("names_say_what_is_inside", "features/base_service.py", "x = 1"),
    Plant("platform_is_no_package", "platform/__init__.py", ""),
    Plant("top_level_is_closed", "main.py", "x = 1"),
    Plant("no_handwritten_tenant_filter", "features/a/repository.py", "q.where(NoteRow.tenant_id == tenant_id)"),
    Plant("no_handwritten_tenant_filter", "features/a/repository.py", "q.where(own.tenant_id == NoteRow.tenant_id)"),
    Plant("no_handwritten_tenant_filter", "features/a/repository.py", "x = NoteRow.tenant_id\nq.where(x == y)"),
    Plant("no_handwritten_tenant_filter", "features/a/repository.py", "q.where(NoteRow.tenant_id.in_(tenants))"),
    Plant("no_handwritten_tenant_filter", "features/a/repository.py", "q.where(self.row_type.tenant_id == tenant_id)"),
    Plant("no_handwritten_tenant_filter", "features/a/repository.py", "q.where(NoteRow.__table__.c.tenant_id == x)"),
    Plant("no_handwritten_tenant_filter", "features/a/repository.py", "n = aliased(NoteRow)\nw(n.tenant_id == x)", 2),
    Plant("no_handwritten_tenant_filter", "features/b/service.py",
          "from features.a.models import NoteRow as N\nq.where(N.tenant_id == x)", 2),
    Plant("no_handwritten_tenant_filter", "features/a/repository.py", "q.filter_by(tenant_id=x)"),
    Plant("no_handwritten_tenant_filter", "features/a/repository.py", "q.where(getattr(row, 'tenant_id') == x)"),
    Plant("no_handwritten_tenant_filter", "features/a/repository.py", "SQL = 'SELECT 1 FROM n WHERE tenant_id = :t'"),
]  # fmt: skip

ALLOWED = [
    Plant(
        "no_handwritten_tenant_filter", "features/a/repository.py", "q.join(NoteRow, NoteRow.tenant_id == OrgRow.id)"
    ),
    Plant("no_handwritten_tenant_filter", "features/a/repository.py", "select(NoteRow.tenant_id, NoteRow.id)"),
    Plant("no_handwritten_tenant_filter", "features/a/repository.py", "q.where(OrgRow.tenant_id.is_not(None))"),
    Plant("no_handwritten_tenant_filter", "features/a/tests/test_a.py", "q.where(NoteRow.tenant_id == acme.id)"),
    Plant("no_silenced_check_without_a_reason", "tests/test_x.py", f"x = 1  # {NOQA}: S105 -- an address, no password"),
    Plant("no_silenced_check_without_a_reason", "tests/test_x.py", f"x = 1  # {IGNORE}[misc]  # untyped upstream"),
    Plant("slices_reach_outside_by_injection", "features/a/tests/test_a.py", "import httpx"),
    Plant("slices_reach_outside_by_injection", "features/a/dtos.py", "from urllib.parse import quote"),
    Plant("files_are_short", "features/a/service.py", "x = 1\n" * 250),
    Plant("names_say_what_is_inside", "features/a/tests/test_common_passwords.py", "x = 1"),
    Plant("top_level_is_closed", "requirements-dev.lock", ""),
]


@pytest.mark.parametrize("name", RULES)
def test_the_code_keeps_the_rule(name):
    """Nothing in the repository breaks this rule."""
    found = [str(violation) for violation in RULES[name](REAL)]

    assert [] == found


@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: f"{plant.rule}-{plant.path}")
def test_the_rule_reports_what_is_planted(plant, tmp_path):
    """A violation is reported with its file and its line."""
    found = check(plant, tmp_path)

    assert [(plant.path, plant.line)] == found


@pytest.mark.parametrize("plant", ALLOWED, ids=lambda plant: f"{plant.rule}-{plant.path}")
def test_the_rule_spares_what_is_allowed(plant, tmp_path):
    """What lies just inside a rule is not reported."""
    found = check(plant, tmp_path)

    assert [] == found


def test_every_rule_has_its_planted_violation():
    """A rule that nobody has seen bite is none."""
    assert set(RULES) == {plant.rule for plant in PLANTED}


def check(plant: Plant, root: Path) -> list[tuple[str, int]]:
    for path, code in {**SLICE, plant.path: plant.code}.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(code)
    return [(violation.path, violation.line) for violation in RULES[plant.rule](Tree(root))]
