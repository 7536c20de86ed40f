"""Connections that wait for their next request: one look a second ends those that have waited too long.

uvicorn sets up a timer of the loop for each answer, and takes it back at the next request.
"""

import asyncio
from typing import Protocol

__all__ = ("IDLE", "Idle")

LOOK_SECONDS = 1.0


class Connection(Protocol):
    timeout_keep_alive: int
    """In seconds; the same for all."""

    def timeout_keep_alive_handler(self) -> None: ...


class Idle:
    def __init__(self) -> None:
        self._since: dict[Connection, float] = {}
        """In the order of their times."""
        self._watched_by: asyncio.AbstractEventLoop | None = None

    def begin(self, connection: Connection, loop: asyncio.AbstractEventLoop) -> None:
        if self._watched_by is not loop:
            self._since.clear()  # of a loop that has ended
            self._watched_by = loop
            loop.call_later(LOOK_SECONDS, self._look, loop)
        self._since[connection] = loop.time()

    def end(self, connection: Connection) -> None:
        self._since.pop(connection, None)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        moment, tired = loop.time(), []
        for connection, since in self._since.items():
            if moment - since < connection.timeout_keep_alive:
                break
            tired.append(connection)
        for connection in tired:
            del self._since[connection]
        if self._since:
            loop.call_later(LOOK_SECONDS, self._look, loop)
        else:
            self._watched_by = None
        for connection in tired:
            connection.timeout_keep_alive_handler()


IDLE = Idle()
"""Of this process."""
