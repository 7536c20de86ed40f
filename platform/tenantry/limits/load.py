"""How many requests are in work in this process, and what becomes of those that are too many.

Who waits for a client, which sends its body slowly or takes a stream slowly, is not in work: nobody must be able to
fill the service up by being slow.

To say no costs about a third of saying yes, so that a service which says no to all that is too much soon does nothing
else. Therefore refusals are rationed by what is served meanwhile. Beyond that a request waits on its connection, not
parsed; then the newest is served first, since whoever sent the oldest has given up.
"""

import asyncio
from collections import deque
from collections.abc import Iterable
from time import monotonic
from typing import ClassVar, Protocol

import structlog

from tenantry.limits.errors import Overloaded

__all__ = ("Load", "Waiting")

TOLD_EVERY_SECONDS = 1.0
LEAST_SHARE, LAG_SECONDS, GROWTH = 8, 0.002, 1.5
"""An eighth of the bound is in work at once, and more where requests wait although the event loop has time."""
REFUSALS_AT_ONCE, REFUSALS_PER_ANSWER = 100.0, 0.2
STALE_SECONDS, LONGEST_WAIT_SECONDS, SWEEP_SECONDS = 0.5, 2.0, 0.1

_log = structlog.get_logger("tenantry.limits")


class Waiting(Protocol):
    """A request that nobody has looked at."""

    @property
    def pending(self) -> int:
        """Requests of this process that have come and not begun: many can come before the first of them runs."""

    def serve(self) -> None: ...

    def turn_away(self) -> None: ...


class Load:
    current: ClassVar["Load | None"] = None
    """Of the application that this process serves: the server's protocol knows no other way to it."""

    def __init__(self, most: int, vital: Iterable[str] = ()) -> None:
        """`vital` are paths that are answered whatever the load."""
        self.most = most
        self.least = self.at_once = max(1, most // LEAST_SHARE)
        self.vital = frozenset(vital)
        self.vital_starts = tuple(f"GET {path}".encode() for path in sorted(self.vital))
        self.running = 0
        self.shed = 0
        self.waiting: deque[tuple[float, Waiting]] = deque()
        """With the moment each came; the newest is the last."""
        self._refusals = REFUSALS_AT_ONCE
        self._admits = False
        self._sweep_due: float | None = None
        """The one sweep that is to come, while anybody waits."""
        self._told = 0.0

    def is_full(self, pending: int) -> bool:
        return self.running + max(0, pending) >= self.at_once

    def place(self, request: Waiting) -> None:
        """What came while all was full waits, or somebody is turned away for it."""
        has_room = self.running + len(self.waiting) < self.most
        if has_room or (self._refusals < 1 and len(self.waiting) < 2 * self.most):
            self._wait(request)
            return
        self._refusals = max(0.0, self._refusals - 1)
        if self.waiting and self._age() > STALE_SECONDS:
            self.waiting.popleft()[1].turn_away()
            self._wait(request)
        else:
            request.turn_away()

    def forget(self, request: Waiting) -> None:
        self.waiting = deque(each for each in self.waiting if each[1] is not request)

    def left(self, *, served: bool) -> None:
        """One that was in work is done."""
        self.running -= 1
        if served:
            self._refusals = min(REFUSALS_AT_ONCE, self._refusals + REFUSALS_PER_ANSWER)
        if self.waiting and not self._admits:
            self._admits = True
            # Only after the next turn is its task none of those that `pending` counts.
            loop = asyncio.get_running_loop()
            loop.call_soon(loop.call_soon, self._admit)

    def refuse(self) -> Overloaded:
        """Count one that is sent away. Not all come back in the same second."""
        self.shed += 1
        if (moment := monotonic()) - self._told >= TOLD_EVERY_SECONDS:
            self._told = moment
            _log.warning("limits.overloaded", running=self.running, waiting=len(self.waiting), shed_so_far=self.shed)
        return Overloaded(retry_after=1 + self.shed % 3)

    def _wait(self, request: Waiting) -> None:
        if self._sweep_due is None:
            self._sweep_later()
        self.waiting.append((monotonic(), request))

    def _age(self) -> float:
        """Of the oldest."""
        return monotonic() - self.waiting[0][0]

    def _admit(self) -> None:
        self._admits = False
        while self.waiting and not self.is_full(self.waiting[-1][1].pending):
            self.waiting.pop()[1].serve()

    def _sweep_later(self) -> None:
        self._sweep_due = monotonic() + SWEEP_SECONDS
        asyncio.get_running_loop().call_later(SWEEP_SECONDS, self._sweep)

    def _sweep(self) -> None:
        """Also where nothing ends that others wait for, everybody gets an answer."""
        assert self._sweep_due is not None
        self._adapt(monotonic() - self._sweep_due)
        self._sweep_due = None
        while self.waiting and (age := self._age()) > STALE_SECONDS:
            if self._refusals < 1 and age < LONGEST_WAIT_SECONDS:
                break
            self._refusals = max(0.0, self._refusals - 1)
            self.waiting.popleft()[1].turn_away()
        self._admit()
        if self.waiting:
            self._sweep_later()

    def _adapt(self, lag: float) -> None:
        """What computes is done no sooner for being begun with many others: their memory drives each other's out."""
        factor = GROWTH if lag < LAG_SECONDS else 1 / GROWTH
        self.at_once = min(self.most, max(self.least, round(self.at_once * factor)))
