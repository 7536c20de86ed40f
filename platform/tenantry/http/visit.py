"""A request at the gate: who claims to make it, and the unit of work that it may begin.

It authenticates without I/O and opens units of work whose every transaction begins with the question whether all of it
holds now.
"""

import asyncio
import random
from datetime import timedelta

from litestar.types import Receive, Scope

from tenantry.clock import now
from tenantry.config import Settings
from tenantry.context import bind_actor
from tenantry.db.database import Database
from tenantry.db.session import UnitOfWork
from tenantry.errors import AppError, Forbidden, Unauthenticated, Unavailable
from tenantry.http.deadlines import Deadlines
from tenantry.http.etag import PreconditionRequired, header_of, precondition_of
from tenantry.http.idempotency import Keyed, KeyRequired, key_of
from tenantry.http.media import unacceptable
from tenantry.http.plan import RoutePlan
from tenantry.http.request import body_of
from tenantry.limits.limiter import Limiter
from tenantry.security.api_keys import principal_of_key
from tenantry.security.browser import ACCESS_COOKIE, BrowserMode, cookie_of
from tenantry.security.keys import UnknownKey
from tenantry.security.possession import Possession, presented
from tenantry.security.principal import CredentialVerifier, Principal

__all__ = ("Gate", "RequestTimeout", "Visit", "pause")

CREDENTIALS = frozenset({b"authorization", b"x-api-key"})
ATTEMPTS = 5
FIRST_PAUSE_SECONDS = 0.01


class SessionRequired(Forbidden):
    code = "session_required"
    title = "This is for people who have logged in, not for API keys"


class FreshAuthRequired(Unauthenticated):
    """The challenge is that of RFC 9470; `max_age` is in seconds."""

    code = "fresh_auth_required"
    title = "Prove again who you are, with `POST /auth/reauthenticate` or by an identity provider, before you do this"

    def __init__(self, *, max_age: int) -> None:
        super().__init__(max_age=max_age)
        self.headers = {"WWW-Authenticate": f'Bearer error="insufficient_user_authentication", max_age="{max_age}"'}


class RequestTimeout(Unavailable):
    code = "request_timeout"
    title = "This took too long; what it was to change may or may not have been kept"


class Visit:
    def __init__(self, plan: RoutePlan, scope: Scope, gate: "Gate", principal: Principal | None) -> None:
        self.plan, self.principal = plan, principal
        self._scope, self._gate = scope, gate
        self.is_counted = True
        """Against the limits of whoever makes the request."""
        self.fault: AppError | None = unacceptable(scope, plan.produces)
        """What is wrong with the body, or with the answer; told only to whom the database lets in."""
        self.key: bytes | None = None
        self.keyed: Keyed | None = None
        """What an idempotency key means for one unit of work."""
        self.attempts = ATTEMPTS if principal is not None and plan.is_repeatable else 1

    def unit_of_work(self, attempt: int) -> UnitOfWork:
        """After a conflict the ordinary session waits for its turn; with a key it holds that from the beginning."""
        unit_of_work = self._begun(fast=attempt == 1 and (self.key is None or not self.plan.is_repeatable))
        self._scope["state"]["unit_of_work"] = unit_of_work
        if self.principal is not None and self._scope.get("method") != "GET":
            unit_of_work.versions.precondition = precondition_of(self._scope, self.principal)
            if self.key is not None:
                life = self._gate.key_life
                self.keyed = Keyed(
                    self.key, self._scope, self.principal, life=life, claims_first=self.plan.is_repeatable
                )
        return unit_of_work

    def look_for_promises(self) -> None:
        """Whether it has the headers that its route asks for."""
        if self.plan.requires_match and header_of(self._scope, b"if-match") is None:
            self.fault = PreconditionRequired()
        if self.plan.idempotency:
            self.expect_key()

    def expect_key(self) -> None:
        try:
            self.key = key_of(self._scope)
            if self.key is None and self.plan.idempotency == "required":
                raise KeyRequired
        except AppError as error:
            self.fault = error

    def repeats(self, unit_of_work: UnitOfWork) -> bool:
        """With a key a request may be done again even if nobody knows whether the commit arrived."""
        return unit_of_work.asks_for_repeat or (self.key is not None and unit_of_work.verdict.has_lost_connection)

    async def begin(self, unit_of_work: UnitOfWork) -> None:
        if self.principal is not None:
            if not self.is_counted:
                await self._count(self.principal)
            if self.fault is not None or self.plan.asks_first(self.principal):
                await unit_of_work.authorize()
        if self.fault is not None:
            raise self.fault

    def _begun(self, *, fast: bool) -> UnitOfWork:
        unit_of_work = self._gate.database.unit_of_work(fast=fast, repeatable=self.plan.is_repeatable)
        if self.principal is not None:
            unit_of_work.begin_request(self.principal, self.plan.question, self._gate.limiter.hear)
        return unit_of_work

    async def _count(self, principal: Principal) -> None:
        """Of an API key that nobody knows yet: where there is anything to count, the database has to agree first.

        It is asked apart, so that the request itself is still refused when the key is revoked while it runs.
        """
        self.is_counted = True
        limiter, route = self._gate.limiter, self.plan.limit
        if not limiter.asks_of(principal, route):
            return
        question = self._begun(fast=True)
        try:
            await question.authorize()
        finally:
            await question.close()
        if asks := limiter.asks_of(principal, route):
            await limiter.let_in(self._scope, principal, route, asks)


class Gate:
    database: Database
    """There once the application has started."""

    def __init__(
        self,
        verifier: CredentialVerifier,
        browser: BrowserMode,
        possession: Possession,
        limiter: Limiter,
        settings: Settings,
    ) -> None:
        self._verifier, self._browser, self._possession = verifier, browser, possession
        self.limiter = limiter
        self._fresh = timedelta(seconds=settings.fresh_auth_seconds)
        self.key_life = timedelta(hours=settings.idempotency_key_hours)
        self.deadlines = Deadlines(settings.request_timeout_seconds)

    async def admit(self, plan: RoutePlan, scope: Scope, receive: Receive) -> Visit:
        limiter = self.limiter
        if plan.is_public:
            if plan.is_limited:
                await limiter.let_stranger_in(scope, plan.limit)
            return Visit(plan, scope, self, None)
        try:
            try:
                principal = self._authenticate(scope)
            except UnknownKey:  # another worker, or an operator, may have made it just now
                await self._verifier.learn()
                principal = self._authenticate(scope)
            if principal.holder is not None:
                await self._possession.demand(scope, principal.holder)
            scope["user"] = principal
        except Unauthenticated:
            await limiter.let_stranger_in(scope)
            raise
        key = principal.key
        is_known = key is None or limiter.is_known(principal)
        if not is_known:
            await limiter.let_stranger_in(scope)
        elif asks := limiter.asks_of(principal, plan.limit):
            await limiter.let_in(scope, principal, plan.limit, asks)
        if plan.permission is None and principal.session_id is None:
            raise SessionRequired
        if plan.fresh_auth is True or (plan.fresh_auth and principal.session_id is not None):
            self._require_fresh(plan, principal)
        bind_actor(actor=principal.subject_id, tenant=principal.tenant_id, key=key.id if key else None)
        visit = Visit(plan, scope, self, principal)
        visit.is_counted = is_known
        if plan.requires_match or plan.idempotency:
            visit.look_for_promises()
        if plan.takes_body or visit.key is not None:
            # Before any transaction begins: a client that sends slowly must not hold a connection.
            try:
                await body_of(scope, receive)
            except AppError as error:
                visit.fault = error
        return visit

    def _require_fresh(self, plan: RoutePlan, principal: Principal) -> None:
        """The token says when: a proof does not become older by asking anybody."""
        if principal.session_id is None:
            raise SessionRequired(permission=plan.permission)
        if principal.authenticated_at is None or now() - principal.authenticated_at > self._fresh:
            raise FreshAuthRequired(max_age=int(self._fresh.total_seconds()))

    def _authenticate(self, scope: Scope) -> Principal:
        """Of the one credential that there is: of two, nobody could say which one a proxy or a log believed in."""
        found, has_cookies = None, False
        for header in scope["headers"]:
            if header[0] in CREDENTIALS:
                if found is not None:
                    raise Unauthenticated("Send one credential.")
                found = header
            elif header[0] == b"cookie":
                has_cookies = True
        if has_cookies and (cookie := cookie_of(scope, ACCESS_COOKIE)) is not None:
            if found is not None:
                raise Unauthenticated("Send one credential.")
            return self._browser.authenticate(cookie, scope, self._verifier)
        name, value = found or (b"", b"")
        if name == b"x-api-key" and (key := value.strip()):
            return principal_of_key(key)
        if name == b"authorization" and value[:7].lower() == b"bearer " and (credential := value[7:].strip()):
            return self._verifier.verify(credential)
        if name == b"authorization" and (credential := presented(value)):
            principal = self._verifier.verify(credential)
            if principal.holder is not None:
                return principal
        raise Unauthenticated


async def pause(attempt: int) -> None:
    """Who met in a deadlock must not meet again."""
    await asyncio.sleep(random.uniform(0, FIRST_PAUSE_SECONDS * 2**attempt))  # noqa: S311  # jitter is no secret
