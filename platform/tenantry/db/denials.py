"""What the database's errors mean to a client. Anything not listed is a fault of ours, and a 500."""

from http import HTTPStatus
from typing import ClassVar, TypeGuard

import msgspec
from psycopg import Error, InterfaceError, OperationalError
from sqlalchemy.exc import DBAPIError

from tenantry.errors import AppError, Conflict, Forbidden, Unauthenticated, Unavailable, Unprocessable
from tenantry.security.api_keys import InvalidApiKey

__all__ = (
    "DENIALS",
    "BrokenReference",
    "DatabaseUnavailable",
    "PoolExhausted",
    "QuotaExceeded",
    "SchemaChanged",
    "SerializationFailure",
    "UnacceptableText",
    "is_refusal",
    "may_be_stale",
    "precedes_the_question",
    "translate",
)


class SessionEnded(Unauthenticated):
    code = "session_ended"
    title = "This session has ended"


class AccountDisabled(Unauthenticated):
    code = "account_disabled"
    title = "This account is disabled"


class TenantRequired(Forbidden):
    code = "tenant_required"
    title = "The credential is for no tenant; switch to one"


class NotAMember(Forbidden):
    code = "not_a_member"
    title = "You are not a member of this tenant"


class TenantSuspended(Forbidden):
    code = "tenant_suspended"
    title = "This tenant is suspended"


class TenantDeleting(Forbidden):
    code = "tenant_deleting"
    title = "This tenant is about to be deleted"


class PermissionMissing(Forbidden):
    code = "permission_missing"
    title = "Your role does not include this permission"


class ScopeMissing(Forbidden):
    code = "scope_missing"
    title = "The API key's scopes do not include this permission"


class SecondFactorNeeded(Forbidden):
    code = "tenant_requires_second_factor"
    title = "This tenant wants a second factor: enrol one, or log in with it"


class ProviderRequired(Forbidden):
    code = "tenant_requires_sso"
    title = "This tenant wants its members to log in through its own identity provider"


class SessionConfined(Forbidden):
    code = "session_confined"
    title = "A tenant's own identity provider vouches for this session; it is good for no other tenant"


class ApiKeyRevoked(Unauthenticated):
    code = "api_key_revoked"
    title = "This API key was revoked"


class ApiKeyExpired(Unauthenticated):
    code = "api_key_expired"
    title = "This API key has expired"


class DatabaseUnavailable(Unavailable):
    code = "database_unavailable"
    title = "The database does not answer"


class PoolExhausted(Unavailable):
    code = "pool_exhausted"
    title = "Too many requests wait for the database"


class StatementTimeout(Unavailable):
    code = "statement_timeout"
    title = "This took too long"


class SchemaChanged(Unavailable):
    code = "schema_changed"
    title = "The database was changed at this moment; try again"


class SerializationFailure(Conflict):
    code = "concurrent_change"
    title = "Somebody else changed the same thing at the same moment; try again"


class BrokenReference(Conflict):
    """What was to go is still referred to, or what was referred to is gone; the repository knows which."""


class UnacceptableText(Unprocessable):
    code = "unacceptable_value"
    title = "A value contains characters or a size that cannot be stored"


class QuotaExceeded(AppError):
    """Members of the problem: `quota`, its `limit`, and the `plan` that sets it."""

    status = HTTPStatus.PAYMENT_REQUIRED
    code = "quota_exceeded"
    title = "The tenant's plan does not include more of these"
    state: ClassVar = "TQ001"


DENIALS: dict[str, type[AppError]] = {
    error.code: error
    for error in (
        SessionEnded,
        AccountDisabled,
        TenantRequired,
        NotAMember,
        TenantSuspended,
        TenantDeleting,
        SessionConfined,
        ProviderRequired,
        SecondFactorNeeded,
        PermissionMissing,
        ScopeMissing,
        InvalidApiKey,
        ApiKeyRevoked,
        ApiKeyExpired,
    )
}


BY_STATE: dict[str, type[AppError]] = {
    "57014": StatementTimeout,
    "40001": SerializationFailure,
    "40P01": SerializationFailure,
    "22021": UnacceptableText,
    "22P05": UnacceptableText,
    "23505": Conflict,
    "23503": BrokenReference,
    "23P01": Conflict,
}
CONNECTION_STATES = ("08", "53", "57P")


def translate(error: DBAPIError | Error) -> Exception:
    """The error a client can act on, or `error` itself."""
    original = error.orig if isinstance(error, DBAPIError) else error
    if not isinstance(original, Error):
        return error
    state, diag = original.sqlstate, original.diag
    if diag.message_primary == "begin_request":
        return DENIALS[diag.message_detail or ""](permission=diag.message_hint or None)
    if diag.constraint_name in AppError.by_constraint:
        return AppError.by_constraint[diag.constraint_name]()
    if state == QuotaExceeded.state:
        return QuotaExceeded(**msgspec.json.decode(diag.message_detail or "{}"))
    if state in BY_STATE:
        return BY_STATE[state]()
    if state is None:
        if isinstance(original, OperationalError | InterfaceError):
            return DatabaseUnavailable()
        return UnacceptableText() if "NUL" in str(original) else error
    return DatabaseUnavailable() if state.startswith(CONNECTION_STATES) else error


def is_refusal(told: Exception) -> TypeGuard[AppError]:
    """Whether `begin_request` has said no."""
    return isinstance(told, tuple(DENIALS.values()))


def precedes_the_question(error: DBAPIError | Error, told: Exception) -> bool:
    """Whether this may have happened before `begin_request` ran: to a value that never left, or to SQL that is wrong.

    PostgreSQL prepares all statements of a group before it executes the first one.
    """
    return isinstance(told, UnacceptableText) or _is_wrong_sql(_state(error))


def may_be_stale(error: DBAPIError | Error) -> bool:
    """Whether a prepared statement may have failed only because tables have changed since: prepare it anew to know.

    Its result has another type, or it is gone, or its parameters do not fit the columns any more.
    """
    state = _state(error)
    return state in ("0A000", "26000") or _is_wrong_sql(state)


def _is_wrong_sql(state: str) -> bool:
    return state.startswith("42") and state != "42501"


def _state(error: DBAPIError | Error) -> str:
    return getattr(error.orig if isinstance(error, DBAPIError) else error, "sqlstate", None) or ""
