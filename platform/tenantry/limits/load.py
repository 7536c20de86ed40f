"""How many requests are in work in this process, and when there are too many of them.

Who waits for a client, which sends its body slowly or takes a stream slowly, is not in work: nobody must be able to
fill the service up by being slow.
"""

from collections.abc import Iterable
from time import monotonic
from typing import ClassVar

import structlog

from tenantry.limits.errors import Overloaded

__all__ = ("Load",)

TOLD_EVERY_SECONDS = 1.0

_log = structlog.get_logger("tenantry.limits")


class Load:
    current: ClassVar["Load | None"] = None
    """Of the application that this process serves: the server's protocol knows no other way to it."""

    def __init__(self, most: int, vital: Iterable[str] = ()) -> None:
        """`vital` are paths that are answered whatever the load."""
        self.most = most
        self.vital = frozenset(vital)
        self.vital_starts = tuple(f"GET {path}".encode() for path in sorted(self.vital))
        self.running = 0
        self.shed = 0
        self._told = 0.0

    def is_full(self, pending: int) -> bool:
        """`pending` are those that have come and not begun: many can come before the first of them runs."""
        return self.running + max(0, pending) >= self.most

    def refuse(self) -> Overloaded:
        """Count one that is sent away. Not all come back in the same second."""
        self.shed += 1
        if (moment := monotonic()) - self._told >= TOLD_EVERY_SECONDS:
            self._told = moment
            _log.warning("limits.overloaded", running=self.running, shed_so_far=self.shed)
        return Overloaded(retry_after=1 + self.shed % 3)
