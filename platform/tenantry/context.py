"""Who and what the current task works for; every log line carries it."""

from contextvars import ContextVar
from typing import Literal
from uuid import UUID

import msgspec

__all__ = (
    "Lane",
    "RequestRecord",
    "bind_actor",
    "bind_effect",
    "count_statement",
    "current_request",
    "current_tenant",
    "enter_tenant",
    "request_id",
    "start_request",
)

Lane = Literal["fast", "session"]
"""How statements travel: the pipeline that requests share, or an ordinary session."""


class RequestRecord(msgspec.Struct, gc=False):
    """What is said of one request. Tasks that the request starts share it, so what they add is counted to it."""

    request_id: str = ""
    trace_id: str | None = None
    actor: UUID | None = None
    claimed_tenant: UUID | None = None
    api_key: UUID | None = None
    """Whose credential is, or comes from, an API key."""
    effect: str | None = None
    fast: int = 0
    """Trips to the database over the fast lane."""
    session: int = 0
    """Trips over ordinary sessions."""
    database_seconds: float = 0.0

    @property
    def lane(self) -> Literal["fast", "session", "both"] | None:
        if self.fast:
            return "both" if self.session else "fast"
        return "session" if self.session else None


_record: ContextVar[RequestRecord | None] = ContextVar("request", default=None)
# Not in the record: a task that enters another tenant must not take along those that it shares the record with.
_tenant: ContextVar[UUID | None] = ContextVar("tenant", default=None)


def start_request(identifier: str, trace_id: str | None = None) -> RequestRecord:
    """Forget what an earlier task of this context left, and name this request."""
    record = RequestRecord(identifier, trace_id)
    _record.set(record)
    _tenant.set(None)
    return record


def bind_actor(*, actor: UUID | None, tenant: UUID | None, key: UUID | None = None) -> None:
    """Name in the log who claims to be here, for which tenant and with which API key."""
    record = _record.get() or _own_record()
    record.actor, record.claimed_tenant, record.api_key = actor, tenant, key


def enter_tenant(tenant: UUID | None) -> None:
    """Work for this tenant from now on: the claim has been checked."""
    _tenant.set(tenant)


def bind_effect(effect: str | None) -> None:
    """Name what the request has done, once it is committed."""
    if effect is not None:
        _own_record().effect = effect


def count_statement(lane: Lane, seconds: float) -> None:
    """Count a trip to the database; outside of a request nobody asks for the sum."""
    record = _record.get()
    if record is not None:
        if lane == "fast":
            record.fast += 1
        else:
            record.session += 1
        record.database_seconds += seconds


def current_tenant() -> UUID | None:
    return _tenant.get()


def current_request() -> RequestRecord | None:
    return _record.get()


def request_id() -> str:
    """Empty outside of a request."""
    record = _record.get()
    return record.request_id if record is not None else ""


def _own_record() -> RequestRecord:
    """Jobs and commands have one from the moment that something is said of them."""
    record = _record.get()
    if record is None:
        record = RequestRecord()
        _record.set(record)
    return record
