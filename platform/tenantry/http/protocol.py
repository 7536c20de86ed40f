"""uvicorn's HTTP protocol with an answer that is one write, and header lines that are checked once.

uvicorn writes head and body of every answer on their own, looks through every header for characters that do not belong
there, although nearly all of them are the same in each answer, and asks at each request for what is never configured
here. Its parser and its treatment of all that is unusual stay.
"""

import asyncio
from collections.abc import Iterable
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

from httptools import parse_url
from uvicorn.protocols.http.httptools_impl import (
    HEADER_RE,
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from tenantry.http.idle import IDLE

__all__ = ("Cycle", "Protocol", "lines_of", "remember")

Header = tuple[bytes, bytes]

LINES: dict[Header, bytes] = {}
"""Of headers that were remembered, as they are sent."""
NAMES: dict[bytes, bytes] = {}
"""As they are sent."""
CONTROLS = bytes({*range(32), 127} - {ord("\t")})
FRAMING = frozenset({b"connection", b"transfer-encoding"})
BODILESS = frozenset({204, 304})


class Protocol(HttpToolsProtocol):
    """It knows no WebSocket and no log of uvicorn's, and leaves it to others to bound what is in work: settings of
    uvicorn for these count for nothing.
    """

    scope: Any

    def on_message_begin(self) -> None:
        IDLE.end(self)
        self.url = b""
        self.expect_100_continue = False
        self.headers = []

    def on_headers_complete(self) -> None:
        version = self.parser.get_http_version()
        url = parse_url(self.url)
        raw_path = url.path
        path = raw_path.decode("ascii")
        if "%" in path:
            path = unquote(path)
        root = self.root_path
        self.scope = {
            "type": "http",
            "asgi": {"version": self.asgi_version, "spec_version": "2.3"},
            "http_version": version,
            "server": self.server,
            "client": self.client,
            "scheme": self.scheme,
            "root_path": root,
            "headers": self.headers,
            "state": self.app_state.copy(),
            "method": self.parser.get_method().decode("ascii"),
            "path": root + path,
            "raw_path": root.encode("ascii") + raw_path,
            "query_string": url.query or b"",
        }
        before: Any = self.cycle  # None before the first request, whatever uvicorn says of its type
        self.cycle = cycle = Cycle(self, version != "1.0" and self.parser.should_keep_alive())
        if before is None or before.response_complete:
            self._start_asgi_task(cycle, self.app)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((cycle, self.app))

    def on_message_complete(self) -> None:
        cycle = self.cycle
        if not cycle.response_complete:
            cycle.more_body = False
            cycle.message_event.set()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        task = self.loop.create_task(cycle.run_asgi(app))
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)

    def on_response_complete(self) -> None:
        """As uvicorn's, but for the timer."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        else:
            IDLE.begin(self, self.loop)

    def connection_lost(self, exc: Exception | None) -> None:
        IDLE.end(self)
        super().connection_lost(exc)

    def _unset_keepalive_if_required(self) -> None:
        """Bytes alone are no request: whoever sends empty lines still rests."""

    def _should_upgrade(self) -> bool:
        return False


class Cycle(RequestResponseCycle):
    """Holds the head of an answer back until its body begins. An answer that is complete then leaves in one write.

    All others, such as streams, go uvicorn's own way.
    """

    # What uvicorn gives each, and most never change.
    disconnected = response_started = response_complete = False
    more_body = True
    chunked_encoding: bool | None = None
    expected_content_length = 0
    access_log = False

    held: Any = None

    def __init__(self, protocol: Protocol, keep_alive: bool) -> None:
        self.scope = protocol.scope
        self.transport, self.flow = protocol.transport, protocol.flow
        self.logger, self.access_logger = protocol.logger, protocol.access_logger
        self.default_headers = protocol.server_state.default_headers
        self.message_event = asyncio.Event()
        self.waiting_for_100_continue = protocol.expect_100_continue
        self.keep_alive = keep_alive
        self.on_response = protocol.on_response_complete
        self.body = bytearray()

    async def send(self, message: Any) -> None:
        if not self.response_started and message["type"] == "http.response.start":
            self.held = message  # in place of one that was held when the application failed
            return
        if (start := self.held) is not None:
            self.held = None
            is_whole = not message.get("more_body", False)
            if is_whole and self.answer(start["status"], start["headers"], message.get("body", b"")):
                return
            await super().send(start)
        await super().send(message)

    def answer(self, status: int, headers: Iterable[Header], body: bytes, common: bytes = b"") -> bool:
        """A head and as many bytes as it says; `common` are lines that were rendered before.

        False where there is more to it than that, or to what was sent before; then nothing has left.
        """
        if self.response_started or self.disconnected or self.flow.write_paused or not self.keep_alive:
            return False
        length, values = None, []
        lines = [STATUS_LINE[status], *map(default_line, self.default_headers)]
        for header in headers:
            if (line := LINES.get(header)) is not None:
                lines.append(line)
                continue
            name, value = header
            written = NAMES.get(name) or written_name(name)
            if written == b"content-length":
                length = value
            if written is None or written in FRAMING:
                return False
            values.append(value)
            lines.append(b"%b: %b\r\n" % (written, value))
        if not is_clean(b"".join(values)):
            return False
        if length is None:
            if body or status not in BODILESS:
                return False
        elif length != b"%d" % len(body):
            return False
        if self.scope["method"] == "HEAD":
            return False
        lines += common, b"\r\n", body
        self.response_started = self.response_complete = True
        self.waiting_for_100_continue = False
        self.transport.write(b"".join(lines))
        self.message_event.set()
        self.on_response()
        return True


def written_name(name: bytes) -> bytes | None:
    """None where uvicorn would not let it through. Names come from the code, so there are few to remember."""
    return None if HEADER_RE.search(name) else NAMES.setdefault(name, name.lower())


def is_clean(value: bytes) -> bool:
    """Whether it holds what uvicorn lets through."""
    return value.translate(None, CONTROLS) == value


def remember(headers: Iterable[Header]) -> None:
    """Headers that are the same in many answers."""
    for name, value in headers:
        if written_name(name) is not None and is_clean(value):
            LINES[name, value] = line_of((name, value))


def lines_of(headers: Iterable[Header]) -> bytes:
    return b"".join(map(line_of, headers))


def line_of(header: Header) -> bytes:
    return b"%b: %b\r\n" % (header[0].lower(), header[1])


default_line = lru_cache(maxsize=8)(line_of)
"""Of the server's own headers, which are the same for a second."""
