"""Every error of every kind becomes RFC 9457 `application/problem+json` with a stable `code` and the `request_id`."""

import re
from http import HTTPStatus
from typing import Any

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, InternalServerException, ValidationException
from litestar.types import ASGIApp, Receive, Scope, Send
from sqlalchemy.exc import TimeoutError as PoolTimeout

from tenantry.context import request_id
from tenantry.db.denials import PoolExhausted
from tenantry.errors import AppError

__all__ = ("CLIENT_LEFT", "MEDIA_TYPE", "Problem", "handle_exception", "problem_of", "problem_response", "send_problem")

_log = structlog.get_logger("tenantry.problems")
MEDIA_TYPE = "application/problem+json"
CLIENT_LEFT = "client disconnected prematurely"  # the only sign that Litestar 2.25 gives
CODES = {
    HTTPStatus.BAD_REQUEST: "bad_request",
    HTTPStatus.NOT_FOUND: "route_not_found",
    HTTPStatus.METHOD_NOT_ALLOWED: "method_not_allowed",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "body_too_large",
}


class FieldError(msgspec.Struct, omit_defaults=True):
    detail: str
    pointer: str | None = None
    """JSON pointer into the body."""
    parameter: str | None = None
    """Name of a query, path or header parameter."""


class Problem(msgspec.Struct):
    """RFC 9457. Clients branch on `code`; `request_id` finds the log lines."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str
    request_id: str
    errors: list[FieldError] | msgspec.UnsetType = msgspec.UNSET


def problem_of(error: Exception) -> tuple[dict[str, Any], dict[str, str]]:
    """The members of the problem document and the headers of its response."""
    if isinstance(error, PoolTimeout):
        error = PoolExhausted()
    errors: list[FieldError] | msgspec.UnsetType = msgspec.UNSET
    extensions: dict[str, Any] = {}
    if isinstance(error, AppError):
        status, code, title, detail = error.status, error.code, error.title, error.detail
        extensions, headers = error.extensions, error.headers
    elif isinstance(error, HTTPException) and error.status_code < 500:
        status = HTTPStatus(error.status_code)
        code, title, detail = CODES.get(status, status.name.lower()), status.phrase, None
        headers = dict(error.headers or {})
        if isinstance(error, ValidationException):
            status, code, title, errors = _invalid_input(error)
    else:
        status, code, title, detail, headers = AppError.status, AppError.code, AppError.title, None, {}
    identifier = request_id()
    problem = Problem(
        type=f"urn:tenantry:problem:{code}",
        title=title,
        status=int(status),
        detail=detail or f"{title}.",
        instance=f"urn:tenantry:request:{identifier}",
        code=code,
        request_id=identifier,
        errors=errors,
    )
    members = msgspec.to_builtins(problem) | {k: v for k, v in extensions.items() if v is not None}
    return members, headers


def handle_exception(_: Request[Any, Any, Any], error: Exception) -> Response[dict[str, Any]]:
    members, headers = problem_of(error)
    if isinstance(error, AppError | PoolTimeout):
        if members["status"] >= 500:
            # Of a failed statement only what the driver says: SQLAlchemy's text has its parameters.
            cause = getattr(error.__cause__, "orig", error.__cause__)
            _log.warning("unavailable", code=members["code"], cause=repr(cause) if cause else None)
    elif isinstance(error, InternalServerException) and error.detail == CLIENT_LEFT:
        _log.info("client_left")
    elif members["status"] >= 500:
        _log.error("unhandled_error", exc_info=error)
    return Response(members, status_code=members["status"], media_type=MEDIA_TYPE, headers=headers)


def problem_response(error: Exception, scope: Scope, receive: Receive, send: Send) -> ASGIApp:
    request: Request[Any, Any, Any] = Request(scope, receive, send)
    return handle_exception(request, error).to_asgi_response(app=None, request=request)


async def send_problem(error: Exception, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with the problem where no exception handler is left to do it."""
    await problem_response(error, scope, receive, send)(scope, receive, send)


def _invalid_input(error: ValidationException) -> tuple[HTTPStatus, str, str, list[FieldError]]:
    """A form's fields count as its body, as those of JSON do."""
    found: Any = error.extra or []
    if any(item.get("source") == "body" for item in found):
        faults = [FieldError(item["message"], pointer=f"/{_missing(item['message']) or item['key']}") for item in found]
        return HTTPStatus.UNPROCESSABLE_ENTITY, "validation_failed", "Some values are not acceptable", faults
    faults = [FieldError(item["message"], parameter=item.get("key")) for item in found]
    if not faults:
        faults = [FieldError("Missing.", parameter=_missing(error.detail))]
    return HTTPStatus.BAD_REQUEST, "invalid_parameter", "A parameter is missing or not valid", faults


def _missing(message: str) -> str | None:
    """What is missing is named in the words of Litestar or msgspec alone."""
    match = re.search(r"required (?:field|\w+ parameter) [`'](.+?)[`']", message)
    return match[1] if match else None
