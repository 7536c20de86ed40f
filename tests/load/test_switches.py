"""What is switched off to measure what it costs is there, and on again afterwards."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from tests.load import added_cost, conditions

SWITCHES: list[Callable[[], AbstractContextManager[None]]] = [
    conditions.without_versions,
    conditions.without_keys,
    added_cost.without_depth,
    added_cost.without_duplicates,
    added_cost.without_types,
    added_cost.without_shedding,
    added_cost.without_deadlines,
]


@pytest.mark.parametrize("switch", SWITCHES, ids=lambda switch: switch.__name__)
def test_switch_finds_what_it_switches_off(switch: Callable[[], AbstractContextManager[None]]) -> None:
    """A name that has changed since would end a measurement after minutes."""
    with switch():
        pass
