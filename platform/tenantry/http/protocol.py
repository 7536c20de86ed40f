"""uvicorn's HTTP protocol with an answer that is one write, and header lines that are checked once.

uvicorn writes head and body of every answer on their own, and looks through every header for characters that do not
belong there, although nearly all of them are the same in each answer.
"""

from collections.abc import Iterable
from typing import Any

from uvicorn.protocols.http.httptools_impl import (
    HEADER_RE,
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

__all__ = ("Protocol", "remember")

LINES: dict[tuple[bytes, bytes], bytes] = {}
"""Of headers that were remembered, as they are sent."""
NAMES: set[bytes] = set()
CONTROLS = bytes({*range(32), 127} - {ord("\t")})
FRAMING = frozenset({b"connection", b"transfer-encoding"})


class Protocol(HttpToolsProtocol):
    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        cycle.__class__ = Cycle  # uvicorn makes its own by name, and there is no other moment
        super()._start_asgi_task(cycle, app)


class Cycle(RequestResponseCycle):
    """Holds the head of an answer back until its body begins. An answer that is complete then leaves in one write.

    All others, such as streams, go uvicorn's own way.
    """

    held: Any = None

    async def send(self, message: Any) -> None:
        if not self.response_started and message["type"] == "http.response.start":
            self.held = message  # in place of one that was held when the application failed
            return
        if (start := self.held) is not None:
            self.held = None
            if self._answer(start, message):
                return
            await super().send(start)
        await super().send(message)

    def _answer(self, start: Any, message: Any) -> bool:
        """False where there is more to it than a head and as many bytes as that says."""
        if self.disconnected or self.flow.write_paused or not self.keep_alive or message.get("more_body", False):
            return False
        body, length = message.get("body", b""), b""
        lines = [STATUS_LINE[start["status"]]]
        for header in (*self.default_headers, *start["headers"]):
            if (line := LINES.get(header)) is not None:
                lines.append(line)
                continue
            name, value = header
            if name == b"content-length":
                length = value
            if name in FRAMING or not is_clean(name, value):
                return False
            lines.append(b"%b: %b\r\n" % (name.lower(), value))
        if length != b"%d" % len(body) or self.scope["method"] == "HEAD":
            return False
        lines += b"\r\n", body
        self.response_started = self.response_complete = True
        self.waiting_for_100_continue = False
        self.transport.write(b"".join(lines))
        self.message_event.set()
        self.on_response()
        return True


def is_clean(name: bytes, value: bytes) -> bool:
    """Whether they hold what uvicorn lets through; names come from the code, so there are few."""
    if name not in NAMES:
        if HEADER_RE.search(name):
            return False
        NAMES.add(name)
    return value.translate(None, CONTROLS) == value


def remember(headers: Iterable[tuple[bytes, bytes]]) -> None:
    """Headers that are the same in many answers."""
    for name, value in headers:
        if is_clean(name, value):
            LINES[name, value] = b"%b: %b\r\n" % (name.lower(), value)
