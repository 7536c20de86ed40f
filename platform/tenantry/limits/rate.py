"""How often something may happen: `Rate(10, per=timedelta(minutes=1))`.

All limits here are GCRA. It keeps one moment for each key, at which the key will be as good as new. Every event moves
that on by `interval`, and is refused where it would then lie further ahead than `depth`: `times` may come at once, and
then one in each `interval`. There is no window at whose edge twice as many pass.
"""

from datetime import timedelta
from functools import cached_property
from math import ceil
from typing import Literal, NamedTuple

import msgspec

__all__ = ("Ask", "Limit", "Outcome", "Rate", "ask")


MICROSECOND = timedelta(microseconds=1)


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


class Limit:
    """A rate with a name, by which the headers of answers tell it from others."""

    def __init__(self, name: str, rate: Rate) -> None:
        self.name, self.rate = name, rate
        self.interval = rate.interval // MICROSECOND
        self.depth = rate.depth // MICROSECOND

    @cached_property
    def policy(self) -> str:
        """A member of `RateLimit-Policy`."""
        return f'"{self.name}";q={self.rate.times};w={ceil(self.rate.per.total_seconds())}'

    def standing(self, ahead: int) -> str:
        """A member of `RateLimit`: what is left, and in how many seconds there will be more.

        `ahead` is how far, in microseconds, the moment lies at which the key will be as good as new.
        """
        left = max(0, (self.depth - ahead) // self.interval)
        more = ahead + self.interval * (left + 1) - self.depth
        return f'"{self.name}";r={left};t={ceil(max(0, more) / 1_000_000)}'


class Ask(NamedTuple):
    """May one more request of this key pass this limit? See `ask`."""

    limit: Limit
    owner: str
    key: str
    is_guess: bool = False
    """It is not known yet whether this is the limit that holds."""


def ask(limit: Limit, owner: str, group: str, *, is_guess: bool = False) -> Ask:
    """`group` is what all asks of one request have in common: a cluster counts them in one place."""
    return Ask(limit, owner, f"tenantry:rate:{{{group}}}:{limit.name}:{owner}", is_guess)


class Outcome(NamedTuple):
    """Of several asks together: all of them are counted, or none."""

    refused: int | None
    """Which of them has to wait longest."""
    wait: int
    """In microseconds."""
    ahead: list[int]
    """By ask, as `Limit.standing` takes it."""
