"""What the gate has to know of a route, found out once."""

from typing import Any, get_type_hints

import msgspec
from litestar.di import Provide
from litestar.handlers import BaseRouteHandler

from tenantry.db.page import PageRequest
from tenantry.db.session import UnitOfWork
from tenantry.http.policy import Allow, Policy, Public, SignedIn, policy_of
from tenantry.security.principal import Principal

__all__ = ("RoutePlan", "plan_of")

# Through these a handler can neither see nor change anything but its request and the database.
HARMLESS = (UnitOfWork, Principal, PageRequest)
# Parameters that Litestar itself fills; by the others of these a handler could reach the application.
HARMLESS_RESERVED = frozenset({"data", "query", "headers", "cookies", "body"})
RESERVED = HARMLESS_RESERVED | {"request", "scope", "socket", "state"}


class RoutePlan(msgspec.Struct, frozen=True):
    policy: Policy | None
    """None for the OPTIONS handlers that Litestar adds."""
    permission: str | None
    """None where a live session is enough."""
    effect: str | None
    takes_body: bool
    is_repeatable: bool
    """The handler can change nothing but its unit of work: it may run before the database has said that it may, and
    run again after a conflict, because nothing of it is kept and no answer leaves in between."""

    @property
    def is_public(self) -> bool:
        return self.policy is None or isinstance(self.policy, Public)


def plan_of(handler: BaseRouteHandler) -> RoutePlan:
    policy = policy_of(handler)
    return RoutePlan(
        policy=policy,
        permission=policy.permission.name if isinstance(policy, Allow) else None,
        effect=policy.audit if isinstance(policy, Allow | SignedIn) else None,
        takes_body="data" in handler.parsed_fn_signature.parameters,
        is_repeatable=_is_repeatable(handler),
    )


def _is_repeatable(handler: BaseRouteHandler) -> bool:
    dependencies = handler.resolve_dependencies()
    return all(_is_harmless(name, dependencies) for name in handler.parsed_fn_signature.parameters)


def _is_harmless(name: str, dependencies: dict[str, Provide]) -> bool:
    """A dependency is when all that it is made of is; what is made of nothing else must be known to be."""
    if name not in dependencies:
        return name in HARMLESS_RESERVED or name not in RESERVED
    make = dependencies[name].dependency
    if get_type_hints(make).get("return") in HARMLESS:
        return True
    needed: dict[str, Any] = dependencies[name].parsed_fn_signature.parameters
    return bool(needed) and all(needs in dependencies and _is_harmless(needs, dependencies) for needs in needed)
