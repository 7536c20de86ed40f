"""Errors that a client can act on: a class each, with a status and a stable code.

A slice subclasses one of the kinds below in its `errors.py`:

    class ProjectArchived(Conflict):
        code = "project_archived"
        title = "The project is archived"

`constraint` names the database constraint whose violation means the same error.
"""

from http import HTTPStatus
from typing import Any, ClassVar

__all__ = (
    "AppError",
    "BadRequest",
    "Conflict",
    "Forbidden",
    "NotFound",
    "Unauthenticated",
    "Unavailable",
    "Unprocessable",
)


class AppError(Exception):
    """Base of all. `extensions` become members of the problem document, so they must be JSON values."""

    status: ClassVar[HTTPStatus] = HTTPStatus.INTERNAL_SERVER_ERROR
    code: ClassVar[str] = "internal_error"
    title: ClassVar[str] = "Something went wrong here"
    constraint: ClassVar[str | None] = None

    by_constraint: ClassVar[dict[str, type["AppError"]]] = {}

    def __init__(self, detail: str | None = None, *, headers: dict[str, str] | None = None, **extensions: Any) -> None:
        super().__init__(detail or self.title)
        self.detail = detail
        self.headers = headers or {}
        self.extensions = extensions

    def __init_subclass__(cls) -> None:
        if "constraint" in cls.__dict__ and cls.constraint:
            AppError.by_constraint[cls.constraint] = cls


class BadRequest(AppError):
    status = HTTPStatus.BAD_REQUEST
    code = "bad_request"
    title = "The request cannot be understood"


class Unauthenticated(AppError):
    status = HTTPStatus.UNAUTHORIZED
    code = "unauthenticated"
    title = "Sign in to use this"

    def __init__(self, detail: str | None = None, **extensions: Any) -> None:
        super().__init__(detail, headers={"WWW-Authenticate": "Bearer"}, **extensions)


class Forbidden(AppError):
    status = HTTPStatus.FORBIDDEN
    code = "forbidden"
    title = "You may not do this"


class NotFound(AppError):
    status = HTTPStatus.NOT_FOUND
    code = "not_found"
    title = "There is nothing here"


class Conflict(AppError):
    status = HTTPStatus.CONFLICT
    code = "conflict"
    title = "This contradicts what is stored"


class Unprocessable(AppError):
    status = HTTPStatus.UNPROCESSABLE_ENTITY
    code = "validation_failed"
    title = "Some values are not acceptable"


class Unavailable(AppError):
    status = HTTPStatus.SERVICE_UNAVAILABLE
    code = "unavailable"
    title = "This cannot be served right now"

    def __init__(self, detail: str | None = None, *, retry_after: int = 1, **extensions: Any) -> None:
        super().__init__(detail, headers={"Retry-After": str(retry_after)}, **extensions)
