"""The outermost layer: request id, one access line, and the last word on errors.

It wraps the whole application, so 404, 405, 413 and 500 pass through it as well.
"""

import re
from time import perf_counter
from typing import Literal

import structlog
from litestar import Litestar
from litestar.config.app import AppConfig
from litestar.enums import HttpMethod, ScopeType
from litestar.handlers import HTTPRouteHandler
from litestar.plugins import InitPlugin
from litestar.routes import HTTPRoute
from litestar.types import ASGIApp, Receive, Scope, Send
from uuid_utils import uuid7

from tenantry.config import Settings
from tenantry.context import RequestRecord, start_request
from tenantry.http.doors import Doors
from tenantry.http.notices import notices_of
from tenantry.http.policy import Public, policy_of
from tenantry.http.problems import handle_exception, send_problem
from tenantry.http.reply import Customs, Reply
from tenantry.http.request import ApiRequest
from tenantry.limits.load import Load
from tenantry.observability.access import log_access
from tenantry.observability.metrics import metrics
from tenantry.observability.tracing import trace_id

__all__ = ("HttpPlugin", "OutermostLayer")

_log = structlog.get_logger("tenantry.access")
ACCEPTED_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{8,64}")
METHODS = frozenset(HttpMethod.__members__)
SERVER_ERROR = 500  # a member of HTTPStatus takes a call of Python each time it is named


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
        customs = Customs(Doors(settings, vital), notices_of(routes), allowed)
        app.asgi_handler = OutermostLayer(app.asgi_handler, customs)
    Load.current = app.asgi_handler.doors.load


def is_vital(handler: HTTPRouteHandler) -> bool:
    policy = policy_of(handler)
    return isinstance(policy, Public) and policy.vital


class OutermostLayer:
    def __init__(self, app: ASGIApp, customs: Customs) -> None:
        self.app, self.customs, self.doors = app, customs, customs.doors

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await self.app(scope, receive, send)
            return
        started = perf_counter()
        metrics.in_progress += 1
        doors = self.doors
        load = doors.load
        load.running += 1
        record = start_request(request_id_of(scope), trace_id())
        reply = Reply(self.customs, scope, record.request_id, send)
        try:
            if (refusal := doors.refusal(scope)) is not None:
                await send_problem(refusal, scope, receive, reply)
            elif doors.origins and doors.is_preflight(scope):
                await doors.answer_preflight(reply)
            else:
                await self.app(scope, receive, reply)
        except Exception as error:
            if reply.status:
                _log.error("response_broken_off", exc_info=error)
                raise
            await send_problem(error, scope, receive, reply)
        finally:
            metrics.in_progress -= 1
            if reply.is_in_work:
                load.left(served=0 < reply.status < SERVER_ERROR)
            finish(record, scope, reply.status or "cancelled", reply.size, perf_counter() - started)


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
