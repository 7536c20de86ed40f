"""What limits a request: its client's address while nobody knows who it is, then its credential, its tenant's plan, and
the route's own rate.

A session's token is known to be ours by its signature. An API key could name any tenant, so until the database has
agreed to it once, nothing is counted against the tenant that it names, but against the address that it came from.
"""

from collections.abc import Awaitable, Sequence
from datetime import timedelta
from math import ceil
from typing import Protocol

from litestar.types import Scope

from tenantry.limits.address import client_network
from tenantry.limits.errors import CannotCount, PlanRateExceeded, RateLimited
from tenantry.limits.plan_memory import PlanMemory
from tenantry.limits.rate import Ask, Limit, Outcome, Rate, ask
from tenantry.plans import REQUESTS_PER_MINUTE
from tenantry.security.principal import Principal

__all__ = ("HEADERS", "Counter", "Limiter", "per_minute")

HEADERS = "rate_limit_headers"
"""Where the state of a scope keeps those that the answer shall carry."""
MINUTE = timedelta(minutes=1)
REMEMBERED_KEYS = 10_000
TENANT = "tenant"


class Counter(Protocol):
    def take(self, asks: Sequence[Ask]) -> Outcome | Awaitable[Outcome | None]:
        """None where it has to refuse because it cannot count."""


def per_minute(name: str, times: int) -> Limit | None:
    """None for 0."""
    return Limit(name, Rate(times, MINUTE)) if times else None


PLAN_LIMITS = {plan.encode(): Limit(TENANT, Rate(times, MINUTE)) for plan, times in REQUESTS_PER_MINUTE.items()}


class Limiter:
    def __init__(
        self,
        counter: Counter,
        *,
        once: Counter | None = None,
        anonymous: Limit | None = None,
        credential: Limit | None = None,
    ) -> None:
        self._counter, self._once = counter, once or counter
        self._anonymous, self._credential = anonymous, credential
        self.plans = PlanMemory()
        self._agreed: dict[bytes | None, None] = {}
        """Hashes of API keys that the database has agreed to; a dictionary, because that keeps its order."""

    async def let_stranger_in(self, scope: Scope, route: Limit | None = None) -> None:
        """Count a request of nobody in particular.

        Raises:
            RateLimited: the address has used up a limit.
            CannotCount: the route fails closed, and nobody can count.
        """
        limits = [limit for limit in (self._anonymous, route) if limit is not None]
        if limits:
            network = client_network(scope)
            asks = [ask(limit, network, network) for limit in limits]
            self._conclude(scope, asks, await self._take(asks), None)

    def is_known(self, principal: Principal) -> bool:
        """Whether it is beyond doubt for whom the credential speaks; not whether it still holds."""
        key = principal.key
        return key is None or key.secret_hash is None or key.secret_hash in self._agreed

    def hear(self, principal: Principal, plan: bytes | None) -> None:
        """The database lets the principal in; `plan` is its tenant's, where the database has said it."""
        if plan and principal.tenant_id is not None:
            self.plans.hear(principal.tenant_id, plan)
        if principal.key is not None and not self.is_known(principal):
            if len(self._agreed) >= REMEMBERED_KEYS:
                del self._agreed[next(iter(self._agreed))]
            self._agreed[principal.key.secret_hash] = None

    def asks_of(self, principal: Principal, route: Limit | None) -> list[Ask]:
        """While the plan is unknown, each that it could be is asked; only an answer of no makes it worth a look."""
        asks: list[Ask] = []
        tenant = principal.tenant_id
        plan = self.plans.known(tenant) if tenant is not None else b""
        if self._credential is None and route is None and plan not in PLAN_LIMITS and plan is not None:
            return asks
        group = str(tenant or principal.subject_id)
        if self._credential is not None:
            credential = principal.key.id if principal.key else principal.session_id
            asks.append(ask(self._credential, str(credential), group))
        if route is not None:
            asks.append(ask(route, str(principal.subject_id), group))
        if plan is None:
            asks += [ask(limit, name.decode(), group, is_guess=True) for name, limit in PLAN_LIMITS.items()]
        elif plan in PLAN_LIMITS:
            asks.append(ask(PLAN_LIMITS[plan], plan.decode(), group))
        return asks

    async def let_in(self, scope: Scope, principal: Principal, route: Limit | None, asks: list[Ask]) -> None:
        """Count a request of somebody who is known.

        Raises:
            RateLimited, PlanRateExceeded: a limit is used up; the request is counted against none.
            CannotCount: the route fails closed, and nobody can count.
        """
        outcome = await self._take(asks)
        if outcome is not None and outcome.refused is not None and asks[outcome.refused].is_guess:
            assert principal.tenant_id is not None
            await self.plans.ask(principal.tenant_id)
            asks = self.asks_of(principal, route)
            outcome = await self._take(asks) if asks else Outcome(None, 0, [])
        self._conclude(scope, asks, outcome, principal)

    async def is_first(self, key: str, within: timedelta) -> bool:
        """Whether nobody has asked for the same within that time, as far as workers can tell each other."""
        outcome = await taken(self._once, [ask(Limit("once", Rate(1, within)), "", key)])
        return outcome is not None and outcome.refused is None

    async def _take(self, asks: Sequence[Ask]) -> Outcome | None:
        return await taken(self._counter, asks)

    def _conclude(self, scope: Scope, asks: list[Ask], outcome: Outcome | None, principal: Principal | None) -> None:
        if outcome is None:
            raise CannotCount
        told = [(each.limit, ahead) for each, ahead in zip(asks, outcome.ahead, strict=True) if not each.is_guess]
        if told:
            scope["state"][HEADERS] = [
                (b"ratelimit-policy", ", ".join(limit.policy for limit, _ in told).encode()),
                (b"ratelimit", ", ".join(limit.standing(ahead) for limit, ahead in told).encode()),
            ]
        if outcome.refused is not None:
            (limit, owner, *_), wait = asks[outcome.refused], ceil(outcome.wait / 1_000_000)
            if limit.name == TENANT:
                raise PlanRateExceeded(wait, quota="requests_per_minute", limit=limit.rate.times, plan=owner)
            raise RateLimited(wait, policy=limit.name, limit=limit.rate.times)


async def taken(counter: Counter, asks: Sequence[Ask]) -> Outcome | None:
    outcome = counter.take(asks)
    return outcome if isinstance(outcome, Outcome) else await outcome
