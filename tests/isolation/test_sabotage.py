"""The proofs of isolation can fail: one act of sabotage in the code and one in SQL. `just prove` tries them all."""

import pytest

from tests.isolation.prove import attempted
from tests.isolation.sabotage import IN_CODE, OPEN, Sabotage

ACTS = [
    IN_CODE["cache keys forget the tenant"],
    Sabotage("projects are open", ("tests/isolation/test_unit_of_work.py",), OPEN.format(table="projects")),
]


@pytest.mark.slow
@pytest.mark.parametrize("act", ACTS, ids=[act.what for act in ACTS])
def test_sabotage_is_noticed(act: Sabotage) -> None:
    """A run of the tests that goes on with isolation broken ends with a failure, and says in which test."""
    outcome = attempted(act)

    assert outcome.noticed_by is not None
    assert outcome.noticed_by.startswith(act.proofs[0])


@pytest.mark.slow
def test_no_sabotage_is_not_noticed() -> None:
    """Without any the same run passes, so it was the sabotage that was noticed."""
    nothing = Sabotage("nothing", ("tests/isolation/test_unit_of_work.py",), "SELECT 1")

    assert attempted(nothing).noticed_by is None
