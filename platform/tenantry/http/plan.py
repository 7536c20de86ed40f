"""What the gate has to know of a route, found out once."""

from typing import Any, get_type_hints

import msgspec
from litestar import MediaType, Response
from litestar.di import Provide
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler
from litestar.status_codes import HTTP_204_NO_CONTENT

from tenantry.db.page import PageRequest
from tenantry.db.session import UnitOfWork
from tenantry.http.catalogue import PermissionCatalogue
from tenantry.http.policy import Allow, FreshAuth, Idempotency, Policy, Public, SignedIn, policy_of
from tenantry.limits.rate import Limit
from tenantry.security.principal import Principal
from tenantry.visitor import Visitor

__all__ = ("RoutePlan", "has_hooks", "plan_of")

# Through these a handler can neither see nor change anything but its request and the database.
HARMLESS = (UnitOfWork, Principal, Visitor, PageRequest, PermissionCatalogue)
# Parameters that Litestar itself fills; by the others of these a handler could reach the application.
HARMLESS_RESERVED = frozenset({"data", "query", "headers", "cookies", "body"})
HOOKS = ("before_request", "after_request", "after_response", "background")
RESERVED = HARMLESS_RESERVED | {"request", "scope", "socket", "state"}


class RoutePlan(msgspec.Struct, frozen=True):
    policy: Policy | None
    """None for the OPTIONS handlers that Litestar adds."""
    permission: str | None
    """None where a live session is enough."""
    question: str | None
    """What the database is asked for: the permission, or what kind of session it has to be."""
    effect: str | None
    idempotency: Idempotency
    requires_match: bool
    fresh_auth: FreshAuth
    """The person must have proven within the last minutes who they are."""
    takes_body: bool
    produces: str | None
    """The media type of its answers; None where they have none, or where the handler alone knows it."""
    is_public: bool
    is_limited: bool
    """Requests of strangers count."""
    limit: Limit | None
    """The route's own."""
    is_repeatable: bool
    """The handler can change nothing but its unit of work: it may run before the database has said that it may, and
    run again after a conflict, because nothing of it is kept and no answer leaves in between."""

    def asks_first(self, principal: Principal) -> bool:
        """Whether the database has to agree before the handler runs; it may count on a tenant that is not there."""
        return not self.is_repeatable or (self.permission is not None and principal.tenant_id is None)


def plan_of(handler: BaseRouteHandler) -> RoutePlan:
    policy = policy_of(handler)
    return RoutePlan(
        policy=policy,
        permission=policy.permission.name if isinstance(policy, Allow) else None,
        question=policy.question if isinstance(policy, Allow | SignedIn) else None,
        effect=policy.audit if isinstance(policy, Allow | SignedIn) else None,
        idempotency=policy.idempotent if isinstance(policy, Allow | SignedIn) else False,
        requires_match=isinstance(policy, Allow) and policy.if_match is not None,
        fresh_auth=policy.fresh_auth if isinstance(policy, Allow | SignedIn) else False,
        is_public=policy is None or isinstance(policy, Public),
        is_limited=policy is not None and not (isinstance(policy, Public) and policy.vital),
        limit=Limit(_name_of(handler), policy.rate) if policy is not None and policy.rate is not None else None,
        produces=_produces(handler, policy) if policy is not None else None,
        takes_body="data" in handler.parsed_fn_signature.parameters,
        is_repeatable=_is_repeatable(handler),
    )


def _name_of(handler: BaseRouteHandler) -> str:
    """`auth.log_in`: the slice, and the handler in it."""
    module = handler.fn.__module__.split(".")
    return f"{module[-2] if len(module) > 1 else module[0]}.{handler.handler_name}"


def _produces(handler: BaseRouteHandler, policy: Policy) -> str | None:
    if not isinstance(handler, HTTPRouteHandler) or handler.status_code == HTTP_204_NO_CONTENT:
        return None
    # Litestar leaves it empty where the response says it itself.
    media_type = str(getattr(handler.media_type, "value", handler.media_type)) or None
    # Of a probe the status counts, and it asks for whatever its maker thought of.
    return None if isinstance(policy, Public) and policy.vital and media_type == MediaType.JSON.value else media_type


def _is_repeatable(handler: BaseRouteHandler) -> bool:
    dependencies = handler.resolve_dependencies()
    if has_hooks(handler) or handler.resolve_guards() or _answers_itself(handler):
        return False
    return all(_is_harmless(name, dependencies) for name in handler.parsed_fn_signature.parameters)


def has_hooks(handler: BaseRouteHandler) -> bool:
    """Whether anything of it, its controller or the application runs before or after it."""
    return any(getattr(layer, hook, None) for layer in handler.ownership_layers for hook in HOOKS)


def _is_harmless(name: str, dependencies: dict[str, Provide]) -> bool:
    """A dependency is when all that it is made of is; what is made of nothing else must be known to be."""
    if name not in dependencies:
        return name in HARMLESS_RESERVED or name not in RESERVED
    make = dependencies[name].dependency
    if get_type_hints(make).get("return") in HARMLESS:
        return True
    needed: dict[str, Any] = dependencies[name].parsed_fn_signature.parameters
    return bool(needed) and all(needs in dependencies and _is_harmless(needs, dependencies) for needs in needed)


def _answers_itself(handler: BaseRouteHandler) -> bool:
    """A response made by the handler may bring a stream or a background task, which run whether or not it leaves."""
    return handler.parsed_fn_signature.return_type.is_subclass_of(Response)
