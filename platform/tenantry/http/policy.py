"""The policy of a route.

@get(opt=allow(READ))                           a member of the active tenant with this permission
@post(opt=signed_in())                          anyone with a live session that is good for their account
@get(opt=signed_in(confined=True))              those too for whom only their tenant's identity provider vouches
@post(opt=public("how an account begins"))      anyone; the reason is for the reader

Each takes `rate=Rate(10, per=timedelta(minutes=1))`: how often one caller may use the route.
`deprecated=Deprecated(since=…)` tells clients that the route is going away.
`fresh_auth=True` asks that the person has proven who they are within the last minutes; `"of_people"` lets API keys by.
"""

from typing import Any, Literal

import msgspec

from tenantry.db.lane.question import ANY_SESSION
from tenantry.http.deprecation import Deprecated
from tenantry.limits.rate import Rate
from tenantry.security.permissions import Permission

__all__ = (
    "OPT_KEY", "Allow", "FreshAuth", "Idempotency", "Policy", "Public", "SignedIn", "allow", "policy_of", "public",
    "signed_in",
)  # fmt: skip

OPT_KEY = "policy"
FreshAuth = bool | Literal["of_people"]
"""`of_people`: for what programs do as well, which prove with each request all that they can."""
Idempotency = bool | Literal["required"]
"""Whether the route heeds an `Idempotency-Key`, or asks for one. Its answers are stored: never of one with a secret."""


class Allow(msgspec.Struct, frozen=True):
    permission: Permission
    audit: str | None = None
    """Name of what has happened when the route succeeds; its access line carries it as `effect`."""
    rate: Rate | None = None
    if_match: Literal["required"] | None = None
    """Without it, whoever sends `If-Match` is heard; `required` lets nobody change what they have not read."""
    fresh_auth: FreshAuth = False
    idempotent: Idempotency = False
    deprecated: Deprecated | None = None

    @property
    def question(self) -> str:
        """What the database is asked for."""
        return self.permission.name


class SignedIn(msgspec.Struct, frozen=True):
    audit: str | None = None
    rate: Rate | None = None
    fresh_auth: FreshAuth = False
    idempotent: Idempotency = False
    """Of a route that works for a tenant all the same: its answer is stored there."""
    deprecated: Deprecated | None = None
    confined: bool = False
    """A session that a tenant's own provider vouches for may use it as well, and sees there what its tenant has."""

    @property
    def question(self) -> str | None:
        """What the database is asked for in the place of a permission."""
        return ANY_SESSION if self.confined else None


class Public(msgspec.Struct, frozen=True):
    reason: str
    rate: Rate | None = None
    deprecated: Deprecated | None = None
    vital: bool = False
    """No limit holds: whoever watches over the service has to be answered."""


Policy = Allow | SignedIn | Public


def allow(
    permission: Permission,
    *,
    audit: str | None = None,
    rate: Rate | None = None,
    if_match: Literal["required"] | None = None,
    fresh_auth: FreshAuth = False,
    idempotent: Idempotency = False,
    deprecated: Deprecated | None = None,
) -> dict[str, Policy]:
    return {OPT_KEY: Allow(permission, audit, rate, if_match, fresh_auth, idempotent, deprecated)}


def signed_in(
    *,
    audit: str | None = None,
    rate: Rate | None = None,
    fresh_auth: FreshAuth = False,
    idempotent: Idempotency = False,
    deprecated: Deprecated | None = None,
    confined: bool = False,
) -> dict[str, Policy]:
    return {OPT_KEY: SignedIn(audit, rate, fresh_auth, idempotent, deprecated, confined)}


def public(
    reason: str, *, rate: Rate | None = None, deprecated: Deprecated | None = None, vital: bool = False
) -> dict[str, Policy]:
    return {OPT_KEY: Public(reason, rate, deprecated, vital)}


def policy_of(handler: Any) -> Policy | None:
    """The policy that the handler itself declares; one of its controller would be inherited in silence."""
    return handler.opt.get(OPT_KEY)  # type: ignore[no-any-return]  # handlers are untyped in their `opt`
