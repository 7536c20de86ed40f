"""The outermost layer: request id, security headers, one access line, and the last word on errors.

It wraps the whole application, so 404, 405, 413 and 500 pass through it as well.
"""

import re
from collections.abc import Iterable
from http import HTTPStatus
from time import perf_counter
from typing import Literal

import structlog
from litestar import Litestar
from litestar.config.app import AppConfig
from litestar.datastructures import MutableScopeHeaders
from litestar.enums import HttpMethod, ScopeType
from litestar.handlers import HTTPRouteHandler
from litestar.plugins import InitPlugin
from litestar.routes import HTTPRoute
from litestar.types import ASGIApp, HTTPResponseStartEvent, Message, Receive, Scope, Send
from uuid_utils import uuid7

from tenantry.config import Settings
from tenantry.context import RequestRecord, start_request
from tenantry.http.answer import CONTENT_TYPE
from tenantry.http.doors import Doors
from tenantry.http.notices import Notices, notices_of
from tenantry.http.page import link_of
from tenantry.http.policy import Public, policy_of
from tenantry.http.problems import handle_exception, send_problem
from tenantry.http.protocol import remember
from tenantry.http.request import ApiRequest
from tenantry.limits.limiter import HEADERS
from tenantry.limits.load import Load
from tenantry.observability.access import log_access
from tenantry.observability.metrics import metrics
from tenantry.observability.tracing import trace_id
from tenantry.security.browser import CARRIER, set_cookies

__all__ = ("HttpPlugin", "OutermostLayer")

_log = structlog.get_logger("tenantry.access")
ACCEPTED_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{8,64}")
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
OWN_NAMES = frozenset({b"x-request-id", *(name for name, _ in RAW_HEADERS)})
METHODS = frozenset(HttpMethod.__members__)

# The documentation and the pages that a mail links to: nothing from elsewhere, nothing inline.
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)


class HttpPlugin(InitPlugin):
    """Problems, strict bodies, and the outermost layer."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        app_config.request_class = ApiRequest
        app_config.exception_handlers = {Exception: handle_exception}
        app_config.logging_config = None
        app_config.on_startup.append(self._wrap)
        return app_config

    def _wrap(self, app: Litestar) -> None:
        # Litestar 2.25 ignores what a plugin writes of this into the AppConfig.
        app.request_max_body_size = self.settings.max_body_bytes
        wrap_application(app, self.settings)


def wrap_application(app: Litestar, settings: Settings) -> None:
    # Litestar offers no layer around its router: middlewares do not run for a path that does not exist.
    if not isinstance(app.asgi_handler, OutermostLayer):
        routes = [route for route in app.routes if isinstance(route, HTTPRoute)]
        allowed = {route.path_format: ", ".join(sorted(route.methods)) for route in routes}
        vital = frozenset(route.path_format for route in routes if any(map(is_vital, route.route_handlers)))
        app.asgi_handler = OutermostLayer(app.asgi_handler, allowed, Doors(settings, vital), notices_of(routes))
    Load.current = app.asgi_handler.doors.load


def is_vital(handler: HTTPRouteHandler) -> bool:
    policy = policy_of(handler)
    return isinstance(policy, Public) and policy.vital


class OutermostLayer:
    def __init__(self, app: ASGIApp, allowed: dict[str, str], doors: Doors, notices: Notices) -> None:
        self.app, self.doors, self.notices = app, doors, notices
        self.allowed = allowed
        """By path, the methods it has: Litestar 2.25 answers OPTIONS with those of one handler alone."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await self.app(scope, receive, send)
            return
        started = perf_counter()
        metrics.in_progress += 1
        load, in_work = self.doors.load, True
        load.running += 1
        record = start_request(request_id_of(scope), trace_id())
        status = size = 0

        async def finishing_send(message: Message) -> None:
            nonlocal status, size, in_work
            if message["type"] == "http.response.start":
                status = message["status"]
                self._complete(message, scope, record.request_id)
            elif message["type"] == "http.response.body":
                size += len(message.get("body", b""))
                if in_work and message.get("more_body", False):  # a stream is as slow as who takes it
                    load.left(served=True)
                    in_work = False
            await send(message)

        try:
            if (refusal := self.doors.refusal(scope)) is not None:
                await send_problem(refusal, scope, receive, finishing_send)
            elif self.doors.origins and self.doors.is_preflight(scope):
                await self.doors.answer_preflight(finishing_send)
            else:
                await self.app(scope, receive, finishing_send)
        except Exception as error:
            if status:
                _log.error("response_broken_off", exc_info=error)
                raise
            await send_problem(error, scope, receive, finishing_send)
        finally:
            metrics.in_progress -= 1
            if in_work:
                load.left(served=0 < status < HTTPStatus.INTERNAL_SERVER_ERROR)
            finish(record, scope, status or "cancelled", size, perf_counter() - started)

    def _complete(self, message: HTTPResponseStartEvent, scope: Scope, identifier: str) -> None:
        method = scope.get("method")
        if message["status"] < 400:
            add_noted(message, scope)
        if limits := scope["state"].get(HEADERS):
            message["headers"] = [*message["headers"], *limits]
        if self.notices and (notice := self.notices.get((scope.get("path_template", ""), str(method)))):
            message["headers"] = [*message["headers"], *notice.headers(scope)]
        if self.doors.origins:
            message["headers"] = [*message["headers"], *self.doors.headers(scope)]
        if method != HttpMethod.OPTIONS and not is_special(message["headers"]):
            message["headers"] = [*message["headers"], (b"x-request-id", identifier.encode()), *RAW_HEADERS]
            return
        headers = MutableScopeHeaders.from_message(message)
        headers["X-Request-ID"] = identifier
        if method == HttpMethod.OPTIONS and message["status"] < 400 and "path_template" in scope:
            headers["Allow"] = self.allowed[scope["path_template"]]
        if headers.get("content-type", "").startswith("text/html"):
            headers["Content-Security-Policy"] = PAGE_POLICY
        for name, value in SECURITY_HEADERS.items():
            headers.setdefault(name, value)


def add_noted(message: HTTPResponseStartEvent, scope: Scope) -> None:
    """What was noted for the answer while it was made."""
    if "links" in scope["state"]:
        message["headers"] = [*message["headers"], link_of(scope)]
    if CARRIER in scope["state"]:
        message["headers"] = [*message["headers"], *set_cookies(scope)]


def is_special(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether a response says something of its own of what every response says."""
    for name, value in headers:
        lowered = name.lower()
        if lowered in OWN_NAMES or (lowered == b"content-type" and value.startswith(b"text/html")):
            return True
    return False


def request_id_of(scope: Scope) -> str:
    """The caller's own id where it is harmless to log, else a new one."""
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            if ACCEPTED_REQUEST_ID.fullmatch(value):
                return value.decode()
            break
    return str(uuid7())


def finish(record: RequestRecord, scope: Scope, status: int | Literal["cancelled"], size: int, seconds: float) -> None:
    method = scope.get("method", "")
    route = scope.get("path_template") or "(none)"
    client = (scope.get("client") or ("",))[0]
    if method not in METHODS:
        method = "(other)"
    metrics.request_ended(method, route, status, seconds)
    log_access(record, method, route, status, seconds, size, client)
