"""What one run measures, and how long."""

from typing import Literal

import msgspec

__all__ = ("CLIENTS", "FULL", "QUICK", "SCENARIOS", "Plan")

SCENARIOS = ("get", "list", "post", "patch", "mixed")
CLIENTS = 16
"""What the targets are judged at."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Times are in seconds."""

    seconds: float
    """Of one measurement, after its warm-up; many short ones, because the speed of a machine changes."""
    warm_up: float
    rounds: int
    """Of the contest, with 16 clients."""
    outer_rounds: int
    """Of these the ones in which 1 and 64 clients have their turn as well; and those of the workers."""
    growth_rounds: int
    bursts: int
    """Of logins, for each contender."""
    starts: int
    """To measure the first answer."""
    rows: int
    """Of the large database; 0 leaves out growth."""
    tenants: int
    """Of the large database."""
    scenarios: tuple[str, ...] = SCENARIOS
    outer_clients: tuple[int, ...] = (1, 64)
    contenders: tuple[str, ...] = ()
    """Only these; empty is all that there are."""
    workers: bool = True
    generator: Literal["auto", "wrk", "bundled"] = "auto"
    fsync: bool = True


FULL = Plan(
    seconds=0.3, warm_up=0.1, rounds=16, outer_rounds=4, growth_rounds=10, bursts=5, starts=3,
    rows=10_000_000, tenants=10_000,
)  # fmt: skip
QUICK = Plan(
    seconds=0.25, warm_up=0.1, rounds=2, outer_rounds=1, growth_rounds=2, bursts=1, starts=1,
    rows=100_000, tenants=1_000, scenarios=("get", "list", "post", "patch"), outer_clients=(), workers=False,
    generator="bundled",
)  # fmt: skip
