"""An answer on its way out: what every response says is added to it, and what has left is counted."""

from collections.abc import Iterable
from typing import NamedTuple

from litestar.datastructures import MutableScopeHeaders
from litestar.enums import HttpMethod
from litestar.types import HTTPResponseStartEvent, Message, Scope, Send

from tenantry.http.answer import CONTENT_TYPE, Answer
from tenantry.http.doors import Doors
from tenantry.http.notices import Notices
from tenantry.http.page import link_of
from tenantry.http.protocol import Cycle, lines_of, remember
from tenantry.limits.limiter import HEADERS
from tenantry.security.browser import CARRIER, set_cookies

__all__ = ("Customs", "Reply")

Header = tuple[bytes, bytes]
SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Referrer-Policy": "no-referrer",
    "Strict-Transport-Security": "max-age=63072000; includeSubDomains",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",
}
RAW_HEADERS = [(name.lower().encode(), value.encode()) for name, value in SECURITY_HEADERS.items()]
remember([CONTENT_TYPE, *RAW_HEADERS])
SECURITY_LINES = lines_of(RAW_HEADERS)
OWN_NAMES = frozenset({b"x-request-id", *(name for name, _ in RAW_HEADERS)})

# The documentation and the pages that a mail links to: nothing from elsewhere, nothing inline.
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)


class Customs(NamedTuple):
    """What answers of one application say beside what all say."""

    doors: Doors
    notices: Notices
    allowed: dict[str, str]
    """By path, the methods it has: Litestar 2.25 answers OPTIONS with those of one handler alone."""


class Reply:
    """The `send` of one request."""

    __slots__ = ("_customs", "_identifier", "_scope", "_send", "is_in_work", "size", "status")

    def __init__(self, customs: Customs, scope: Scope, identifier: str, send: Send) -> None:
        self._customs, self._scope, self._identifier, self._send = customs, scope, identifier, send
        self.status = self.size = 0
        self.is_in_work = True
        """Until a stream begins, which is as slow as who takes it."""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self._complete(message)
        elif message["type"] == "http.response.body":
            self.size += len(message.get("body", b""))
            if self.is_in_work and message.get("more_body", False):
                self._customs.doors.load.left(served=True)
                self.is_in_work = False
        await self._send(message)

    def take(self, answer: Answer) -> bool:
        """All of it in one write. False where the server or the answer asks for more; then nothing has left."""
        cycle = getattr(self._send, "__self__", None)
        if not isinstance(cycle, Cycle):
            return False
        headers = self._said(answer.status, answer.headers)
        for name, _ in headers:  # an endpoint's are in small letters, and never those of a page
            if name in OWN_NAMES:
                return False
        headers.append((b"x-request-id", self._identifier.encode()))
        if not cycle.answer(answer.status, headers, answer.body, SECURITY_LINES):
            return False
        self.status, self.size = answer.status, len(answer.body)
        return True

    def _said(self, status: int, headers: Iterable[Header]) -> list[Header]:
        """With what was noted for the answer while it was made, and what its route or its caller has to be told."""
        scope, state, (doors, notices, _) = self._scope, self._scope["state"], self._customs
        said = [*headers]
        if status < 400:
            if "links" in state:
                said.append(link_of(scope))
            if CARRIER in state:
                said += set_cookies(scope)
        if limits := state.get(HEADERS):
            said += limits
        if notices and (notice := notices.get((scope.get("path_template", ""), str(scope.get("method"))))):
            said += notice.headers(scope)
        if doors.origins:
            said += doors.headers(scope)
        return said

    def _complete(self, message: HTTPResponseStartEvent) -> None:
        scope, method = self._scope, self._scope.get("method")
        said = self._said(message["status"], message["headers"])
        if method != HttpMethod.OPTIONS and not is_special(said):
            message["headers"] = [*said, (b"x-request-id", self._identifier.encode()), *RAW_HEADERS]
            return
        message["headers"] = said
        headers = MutableScopeHeaders.from_message(message)
        headers["X-Request-ID"] = self._identifier
        if method == HttpMethod.OPTIONS and message["status"] < 400 and "path_template" in scope:
            headers["Allow"] = self._customs.allowed[scope["path_template"]]
        if headers.get("content-type", "").startswith("text/html"):
            headers["Content-Security-Policy"] = PAGE_POLICY
        for name, value in SECURITY_HEADERS.items():
            headers.setdefault(name, value)


def is_special(headers: Iterable[Header]) -> bool:
    """Whether a response says something of its own of what every response says."""
    for name, value in headers:
        lowered = name.lower()
        if lowered in OWN_NAMES or (lowered == b"content-type" and value.startswith(b"text/html")):
            return True
    return False
