"""Who and what the current task works for; every log line carries it."""

from contextvars import ContextVar
from uuid import UUID

import structlog

__all__ = ("bind_actor", "bind_effect", "current_tenant", "enter_tenant", "request_id", "start_request")

_tenant: ContextVar[UUID | None] = ContextVar("tenant", default=None)
request_id: ContextVar[str] = ContextVar("request_id", default="")


def start_request(identifier: str) -> None:
    """Forget what an earlier task of this context left, and name this request."""
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(request_id=identifier)
    request_id.set(identifier)
    _tenant.set(None)


def bind_actor(*, actor: UUID | None, tenant: UUID | None) -> None:
    """Name in the log who claims to be here, and for which tenant."""
    structlog.contextvars.bind_contextvars(actor=str(actor) if actor else None, tenant=str(tenant) if tenant else None)


def enter_tenant(tenant: UUID | None) -> None:
    """Work for this tenant from now on: the claim has been checked."""
    _tenant.set(tenant)


def bind_effect(effect: str | None) -> None:
    """Name what the request has done, once it is committed."""
    if effect is not None:
        structlog.contextvars.bind_contextvars(effect=effect)


def current_tenant() -> UUID | None:
    return _tenant.get()
