"""The access line. Every request has one, so in JSON it takes a way of its own, a tenth as long as structlog's."""

import asyncio
import logging
import re
import sys
from collections import deque
from datetime import UTC, datetime
from functools import lru_cache
from time import time
from typing import Literal, TextIO
from uuid import UUID

import msgspec
import structlog

from tenantry.context import RequestRecord

__all__ = ("LineHandler", "log_access", "render_access_as_json")

LOGGER = "tenantry.access"
WAIT_SECONDS = 0.01
SAID = ("method", "route", "status", "milliseconds", "bytes", "client", "lane", "database_milliseconds")
ADDRESS = re.compile(r"[0-9A-Fa-f.:%]{0,64}")
_log = structlog.get_logger(LOGGER)
_level = logging.getLogger(LOGGER)
_encode_lines = msgspec.json.Encoder().encode_lines


class Answer(msgspec.Struct, gc=False):
    """What became of a request, at `at` seconds of the epoch."""

    at: float
    record: RequestRecord
    method: str
    route: str
    status: int | Literal["cancelled"]
    seconds: float
    size: int
    client: str


class AccessLine(msgspec.Struct, omit_defaults=True, gc=False):
    """In the order of all other lines: what each has, what this one says, and the request.

    No field has text that a client can choose freely: a line that is made here passes no mask.
    """

    timestamp: datetime
    level: str
    logger: str
    event: str
    method: str
    route: str
    status: int | Literal["cancelled"]
    milliseconds: float
    bytes: int
    client: str
    lane: str | None = None
    database_milliseconds: float | None = None
    request_id: str | None = None
    trace_id: str | None = None
    actor: UUID | None = None
    tenant: UUID | None = None
    effect: str | None = None
    api_key: UUID | None = None


def line_of(answer: Answer) -> AccessLine:
    record, lane = answer.record, answer.record.lane
    return AccessLine(
        datetime.fromtimestamp(answer.at, UTC), "info", LOGGER, "request", answer.method, answer.route, answer.status,
        milliseconds(answer.seconds), answer.size, presentable(answer.client), lane,
        None if lane is None else milliseconds(record.database_seconds), record.request_id, record.trace_id,
        record.actor, record.claimed_tenant, record.effect, record.api_key,
    )  # fmt: skip


def milliseconds(seconds: float) -> float:
    """To a hundredth; `round` takes three times as long."""
    return int(seconds * 100_000 + 0.5) / 100


@lru_cache(maxsize=1024)
def presentable(client: str) -> str:
    """A proxy that is trusted passes on whatever a client wrote."""
    return client if ADDRESS.fullmatch(client) else "(unknown)"


class LineHandler(logging.StreamHandler[TextIO]):
    """Takes records, as any handler, and answers, each of which becomes an access line; neither gets into the other.

    Answers wait for others, to be rendered and written together: that costs half as much, most of it the system call.
    A record lets them go first. Standard output that is closed, or that nobody reads, is no reason to fail a request.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._waiting: deque[Answer] = deque()
        self._flushed_by: asyncio.AbstractEventLoop | None = None

    def write_line(self, answer: Answer) -> None:
        self._waiting.append(answer)
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self.flush()
            return
        if self._flushed_by is not loop:
            self._flushed_by = loop
            loop.call_later(WAIT_SECONDS, self.flush)

    def emit(self, record: logging.LogRecord) -> None:
        if self._waiting:
            self.flush()
        super().emit(record)

    def flush(self) -> None:
        self.acquire()
        try:
            self._flushed_by = None  # first, so that a line that another thread adds from here on is not left lying
            if self._waiting:
                lines = [line_of(self._waiting.popleft()) for _ in range(len(self._waiting))]
                self.stream.write(_encode_lines(lines).decode())
            self.stream.flush()
        except (OSError, ValueError):
            pass
        finally:
            self.release()

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # its name in the standard library
        if not isinstance(sys.exc_info()[1], OSError) and not self.stream.closed:
            super().handleError(record)


_lines: LineHandler | None = None


def render_access_as_json(lines: LineHandler | None) -> None:
    """Write to this handler; without one through structlog."""
    global _lines
    _lines = lines


def log_access(
    record: RequestRecord, method: str, route: str, status: int | Literal["cancelled"], seconds: float, size: int,
    client: str,
) -> None:  # fmt: skip
    """`size` in bytes; `method` is one of HTTP's and `route` a template."""
    answer = Answer(time(), record, method, route, status, seconds, size, client)
    if _lines is None:
        line = msgspec.to_builtins(line_of(answer))
        _log.info("request", **{name: line[name] for name in SAID if name in line})
    elif _level.isEnabledFor(logging.INFO):
        _lines.write_line(answer)
