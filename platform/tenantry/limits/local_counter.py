"""Counts in this process alone: exactly, where it is the only one."""

from collections.abc import Callable, Sequence
from time import monotonic_ns

from tenantry.limits.rate import Ask, Outcome

__all__ = ("MOST_KEYS", "LocalCounter")

MOST_KEYS = 100_000
"""About 20 MB. Who has more addresses than that within the time of a rate passes now and then."""


def microseconds() -> int:
    return monotonic_ns() // 1000


class LocalCounter:
    def __init__(self, clock: Callable[[], int] = microseconds) -> None:
        self._clock = clock
        self._until: dict[str, int] = {}
        """By key, when it will be as good as new."""

    def __len__(self) -> int:
        return len(self._until)

    def take(self, asks: Sequence[Ask]) -> Outcome:
        moment, known = self._clock(), self._until
        refused, longest, untils = None, 0, []
        for number, ask in enumerate(asks):
            until = max(known.get(ask.key, 0), moment)
            wait = until + ask.limit.interval - ask.limit.depth - moment
            if wait > longest:
                refused, longest = number, wait
            untils.append(until)
        if refused is not None:
            return Outcome(refused, longest, [until - moment for until in untils])
        untils = [until + ask.limit.interval for until, ask in zip(untils, asks, strict=True)]
        for ask, until in zip(asks, untils, strict=True):
            if ask.key not in known:
                self._make_room(moment)
            known[ask.key] = until
        return Outcome(None, 0, [until - moment for until in untils])

    def _make_room(self, moment: int) -> None:
        """For each key that comes, look at two that have been here longest: those that are over go."""
        known = self._until
        for _ in range(min(2, len(known))):
            key = next(iter(known))
            until = known.pop(key)
            if until > moment and len(known) < MOST_KEYS:
                known[key] = until
