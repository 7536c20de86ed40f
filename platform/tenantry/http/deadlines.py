"""Limits of time that cost little: one timer watches over all that are under way."""

import asyncio
from types import TracebackType
from typing import Self

__all__ = ("Deadline", "Deadlines")


class Deadlines:
    """`with deadlines.start() as deadline:` raises `TimeoutError` when the block lasts longer than `seconds`.

    `asyncio.timeout` sets up a timer of the loop for every use, a tenth of what an answer computes here. These are all
    equally long, so a look at them now and then is enough: one ends up to an eighth late.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._pause = seconds / 8
        self.running: set[Deadline] = set()
        self.watched_by: asyncio.AbstractEventLoop | None = None

    def start(self) -> "Deadline":
        return Deadline(self)

    def watch(self, loop: asyncio.AbstractEventLoop) -> None:
        self.watched_by = loop
        loop.call_later(self._pause, self._watch, loop)

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        moment = loop.time()
        for deadline in [deadline for deadline in self.running if deadline.ends <= moment]:
            deadline.expire()
        if self.running:
            loop.call_later(self._pause, self._watch, loop)
        else:
            self.watched_by = None


class Deadline:
    __slots__ = ("_cancelling", "_deadlines", "_task", "ends", "expired")

    def __init__(self, deadlines: Deadlines) -> None:
        self._deadlines = deadlines
        self.expired = False

    def __enter__(self) -> Self:
        loop = asyncio.get_running_loop()
        task = asyncio.current_task(loop)
        if task is None:
            raise RuntimeError("only a task can be ended in time")
        self._task = task
        self._cancelling = task.cancelling()
        self.ends = loop.time() + self._deadlines.seconds
        self._deadlines.running.add(self)
        if self._deadlines.watched_by is not loop:
            self._deadlines.watch(loop)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()
        # As in asyncio.timeout: somebody else may have cancelled the task as well, and that counts more.
        if self.expired and self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def stop(self) -> None:
        """From here on it takes as long as it takes."""
        self._deadlines.running.discard(self)

    def expire(self) -> None:
        self.stop()
        self.expired = True
        self._task.cancel()
