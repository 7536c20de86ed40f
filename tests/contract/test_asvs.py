"""Nothing is claimed of a security requirement without a test, and nothing left out without a reason."""

import re
from pathlib import Path

from tests.asvs import requirements

ROOT = Path(__file__).parents[2]
MARK = re.compile(r"mark\.asvs\(([^)]*)\)")


def marked() -> set[str]:
    files = [path for folder in ("features", "tests") for path in (ROOT / folder).rglob("test_*.py")]
    marks = [mark for path in files for mark in MARK.findall(path.read_text())]
    return {id for mark in marks for id in re.findall(r'"([\d.]+)"', mark)}


def test_each_requirement_is_shown_explained_or_open() -> None:
    """Each has a test that is marked with it, or a reason why it does not apply, or says what is missing."""
    shown = marked()
    silent = [each.id for each in requirements() if not (each.id in shown or each.why_not or each.open)]

    assert [] == silent


def test_what_does_not_apply_has_no_test() -> None:
    """A reason for leaving out what a test shows would be a false one."""
    shown = marked()

    assert [] == [each.id for each in requirements() if each.why_not and (each.id in shown or each.open)]


def test_marks_name_requirements() -> None:
    """Each mark is one of the table, and each is there once."""
    ids = [each.id for each in requirements()]

    assert set() == marked() - set(ids)
    assert len(ids) == len(set(ids))
