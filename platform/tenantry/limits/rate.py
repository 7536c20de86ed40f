"""How often something may happen: `Rate(10, per=timedelta(minutes=1))`.

All limits here are GCRA. It keeps one moment for each key, at which the key will be as good as new. Every event moves
that on by `interval`, and is refused where it would then lie further ahead than `depth`: `times` may come at once, and
then one in each `interval`. There is no window at whose edge twice as many pass.
"""

from datetime import timedelta
from typing import Literal

import msgspec

__all__ = ("Rate",)


class Rate(msgspec.Struct, frozen=True):
    times: int
    per: timedelta
    fails: Literal["open", "closed"] = "open"
    """While the counter that all workers share does not answer: each worker counts on its own, or refuses."""

    def __post_init__(self) -> None:
        if self.times < 1 or self.interval <= timedelta(0):
            raise ValueError(f"a rate is at least one in a time above zero, not {self.times} in {self.per}")

    @property
    def interval(self) -> timedelta:
        return self.per / self.times

    @property
    def depth(self) -> timedelta:
        """`per`, but for what the rounding of `interval` to microseconds adds."""
        return self.interval * self.times
