"""What a connection may do before there is a request, and after its answer: all of it is bounded.

uvicorn reads heads of any size for any time. And under overload, saying no has to cost next to nothing: to parse, route
and log a request in order to refuse it costs a quarter of serving one.
"""

import asyncio
import re
from functools import lru_cache
from http import HTTPStatus
from typing import Any

import msgspec
from uuid_utils import uuid7
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from tenantry.errors import AppError
from tenantry.http.idle import IDLE
from tenantry.http.problems import MEDIA_TYPE, Problem
from tenantry.http.protocol import Protocol
from tenantry.limits.load import Load
from tenantry.observability.metrics import metrics

__all__ = ("GuardedProtocol",)

LARGEST_HEAD, MOST_HEADERS = 32_768, 100  # bytes
HEAD_SECONDS, LINGER_SECONDS = 10.0, 5.0
END = b"\r\n\r\n"
ANY_ID = b"00000000-0000-0000-0000-000000000000"
LARGEST_WAITING = 4_096  # bytes
METHODS = (b"GET ", b"DELETE ", b"POST ", b"PATCH ", b"PUT ")
LENGTH = re.compile(rb"\ncontent-length: ?(\d{1,9})\r\n")
# A head that has one of these is for the parser to judge.
UNUSUAL = (b"\ntransfer-encoding", b"\nconnection: close", b"\nexpect", b"\nupgrade", b"\n ", b"\n\t")


class MalformedRequest(AppError):
    status = HTTPStatus.BAD_REQUEST
    code = "malformed_request"
    title = "This is not HTTP"


class HeadTooLarge(AppError):
    status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
    code = "headers_too_large"
    title = "The address and headers of the request are too large, or too many"


class HeadTimeout(AppError):
    status = HTTPStatus.REQUEST_TIMEOUT
    code = "headers_timeout"
    title = "The headers did not arrive in time"


class GuardedProtocol(Protocol):
    _timer: asyncio.TimerHandle | None = None
    """Ends the connection, unless the head, or the rest of a body that nobody wants, has come by then."""
    _in_head = False
    _seen = _chunk = 0
    """Bytes since the head began, and of what came last."""
    _fault: AppError | None = None
    _unread = b""
    """A request that waits for others to end."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._wait(HEAD_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        self._wait(None)
        self._take_back()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        load = Load.current
        if self._unread:
            data = self._take_back() + data
        # The same as `pending`.
        elif load is not None and load.is_full(len(self.tasks) - metrics.in_progress) and self._sheds(load, data):
            return
        self._read(data)

    def _read(self, data: bytes) -> None:
        self._chunk = len(data)
        self._seen += self._chunk
        super().data_received(data)
        if self.transport.is_closing():
            return
        if not self._in_head:
            has_begun = bool(self.cycle)  # with empty lines it has not
            if self._timer is not None and has_begun and not self._lingers():
                self._wait(None)
        elif self._seen > LARGEST_HEAD:
            self._refuse(HeadTooLarge())
        elif self._timer is None:
            self._wait(HEAD_SECONDS)

    def on_message_begin(self) -> None:
        self._in_head, self._seen = True, self._chunk
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head = False
        if len(self.headers) > MOST_HEADERS or (self._seen > LARGEST_HEAD and self._head_size() > LARGEST_HEAD):
            self._fault = HeadTooLarge()
            raise self._fault
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.cycle.more_body and self._lingers():
            self._wait(LINGER_SECONDS)

    def send_400_response(self, msg: str) -> None:
        self._refuse(self._fault or MalformedRequest())

    def _head_size(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def _lingers(self) -> bool:
        """The answer is complete, and the body of its request is not."""
        cycle: Any = self.cycle  # None before the first request, whatever uvicorn says of its type
        return bool(cycle and cycle.response_complete and cycle.more_body)

    def _wait(self, seconds: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if seconds is None else self.loop.call_later(seconds, self._give_up)

    def _give_up(self) -> None:
        self._timer = None
        if self._in_head:
            self._refuse(HeadTimeout())
        else:
            self.transport.close()

    def _refuse(self, error: AppError) -> None:
        if not self.transport.is_closing():
            self.transport.write(answer_of(error, b"connection: close\r\n"))
            self.transport.close()

    def _sheds(self, load: Load, data: bytes) -> bool:
        """Whether to wait or to be refused is the lot of this one: a request in one piece, which is not parsed for it.

        Others are refused later.
        """
        cycle: Any = self.cycle
        is_busy = self._in_head or (cycle and (not cycle.response_complete or cycle.more_body))
        if is_busy or self.flow.write_paused or self.transport.is_closing():
            return False
        if data.startswith(load.vital_starts) or not is_whole(data):
            return False
        self._unread = data
        self._wait(None)  # who waits is not idle
        load.place(self)
        return True

    @property
    def pending(self) -> int:
        return len(self.tasks) - metrics.in_progress

    def serve(self) -> None:
        data, self._unread = self._unread, b""
        self._read(data)

    def turn_away(self) -> None:
        data, self._unread = self._unread, b""
        if Load.current is not None and not self.transport.is_closing():
            self.transport.write(answer_of(Load.current.refuse()))
            self._wait(HEAD_SECONDS)
            metrics.request_ended(data[: data.find(b" ")].decode(), "(shed)", 503, 0.0)

    def shutdown(self) -> None:
        """Who waits is served as those are who are in work."""
        if self._unread:
            self._read(self._take_back())
        super().shutdown()

    def _take_back(self) -> bytes:
        """What waited, if anything did, is read now or never."""
        data, self._unread = self._unread, b""
        if data and Load.current is not None:
            Load.current.forget(self)
        return data

    def timeout_keep_alive_handler(self) -> None:
        if self._unread:
            IDLE.begin(self, self.loop)
        else:
            super().timeout_keep_alive_handler()


def is_whole(data: bytes) -> bool:
    """Whether this is one request with nothing unusual about it, and its body has come as well.

    If there is the least doubt where it ends, the parser has to judge: what it would take for the next request must not
    be taken for a part of this one, nor the other way round.
    """
    end = data.find(END)
    if end < 0 or len(data) > LARGEST_WAITING or not data.startswith(METHODS):
        return False
    head = data[: end + 2].lower()
    if any(each in head for each in UNUSUAL) or head.count(b"\n") != head.count(b"\r\n"):
        return False
    lengths = LENGTH.findall(head)
    if len(lengths) > 1 or head.count(b"content-length") != len(lengths):
        return False
    if not head[: head.find(b"\r")].endswith(b" http/1.1"):
        return False
    return len(data) - end - len(END) == int(lengths[0] if lengths else 0)


def answer_of(error: AppError, more: bytes = b"") -> bytes:
    headers = "".join(f"{name.lower()}: {value}\r\n" for name, value in error.headers.items())
    answer = _answer(error.code, error.title, HTTPStatus(error.status), headers.encode() + more)
    return answer.replace(ANY_ID, str(uuid7()).encode())


@lru_cache(maxsize=64)
def _answer(code: str, title: str, status: HTTPStatus, headers: bytes) -> bytes:
    """With a place holder that is as long as an id: what many are told is not written anew for each."""
    identifier = ANY_ID.decode()
    body = msgspec.json.encode(
        Problem(
            type=f"urn:tenantry:problem:{code}",
            title=title,
            status=int(status),
            detail=f"{title}.",
            instance=f"urn:tenantry:request:{identifier}",
            code=code,
            request_id=identifier,
        )
    )
    return b"%bcontent-type: %b\r\ncontent-length: %d\r\ncache-control: no-store\r\nx-request-id: %b\r\n%b\r\n%b" % (
        STATUS_LINE[status], MEDIA_TYPE.encode(), len(body), ANY_ID, headers, body,
    )  # fmt: skip
