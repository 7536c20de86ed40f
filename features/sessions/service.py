"""From a proof to a session, from one token to the next, from one tenant to another."""

import re
from datetime import datetime, timedelta
from typing import Literal, TypeVar
from uuid import UUID

import structlog

from features.sessions.dtos import AccessToken, Origin, Proof, Session, TokenPair
from features.sessions.errors import InvalidRefreshToken, SessionNotFound, TenantNotAvailable
from features.sessions.models import RefreshTokenRow, SessionRow
from features.sessions.repository import BY_ITS_OWNER, SessionRepository
from features.tenants.api import memberships_of
from tenantry.clock import now
from tenantry.config import Settings
from tenantry.db.database import Database
from tenantry.db.session import UnitOfWork
from tenantry.limits.guesses import Budget, counted
from tenantry.limits.rate import Rate
from tenantry.limits.throttles import Throttles, throttle_key
from tenantry.mail import Mailer
from tenantry.security.browser import TokenCarrier
from tenantry.security.possession import Holder, InvalidProof
from tenantry.security.principal import Principal
from tenantry.security.secrets import digest, new_secret
from tenantry.security.tokens import TokenService
from tenantry.visitor import Visitor

_log = structlog.get_logger("features.sessions")
T = TypeVar("T", bound=AccessToken)
VERSION = re.compile(r"\d[\d._]*")
BEARER: Literal["Bearer"] = "Bearer"
LOST_REPLY_GRACE = timedelta(seconds=10)
GUESSING = timedelta(minutes=10)


class SessionService:
    def __init__(
        self,
        unit_of_work: UnitOfWork,
        database: Database,
        tokens: TokenService,
        throttles: Throttles,
        carrier: TokenCarrier,
        holder: Holder,
        mailer: Mailer,
        settings: Settings,
    ) -> None:
        self.unit_of_work, self.database, self.tokens = unit_of_work, database, tokens
        self.carrier, self.holder, self.mailer = carrier, holder, mailer
        self.throttles, self.guesses = throttles, Rate(settings.guesses_per_network, per=GUESSING)
        self.sessions = SessionRepository(unit_of_work)
        self.idle = timedelta(days=settings.refresh_token_days)
        self.longest = timedelta(days=settings.session_days)

    async def open(self, user_id: UUID, visitor: Visitor, proof: Proof, tenant_id: UUID | None = None) -> TokenPair:
        """For somebody who has proven who they are.

        Raises:
            TenantNotAvailable: they are no member of the tenant that is asked for.
            InvalidProof: the request has a proof of a key that is not good.
        """
        holder = await self._new_holder()
        chosen = await self._choose_tenant(user_id, proof.only_tenant_id or tenant_id)
        await self._end_replaced()
        is_new = await self._is_new_device(user_id, visitor)
        session = await self.sessions.open(
            user_id, chosen, visitor, proof, holder, idle=self.idle, longest=self.longest
        )
        refresh_token = new_secret()
        await self.sessions.add_refresh_token(session.id, digest(refresh_token))
        if is_new:
            await self.mailer.notify(user_id, "new_device", self.unit_of_work, visitor=visitor)
        _log.info("session.opened", user=str(user_id), session=str(session.id), methods=session.methods)
        return self._pair(session, chosen, refresh_token)

    async def prove_again(self, session_id: UUID, proof: Proof) -> AccessToken:
        """What its owner has just proven counts for the session that they have."""
        session = await self.sessions.locked(session_id)
        session.prove(proof)
        await self.unit_of_work.flush()
        return self._access(session, session.tenant_id)

    async def origin(self, principal: Principal) -> Origin:
        return await self.sessions.origin(principal.session)

    async def refresh(self, given: str | None, visitor: Visitor) -> TokenPair:
        """By the token that is given, else by the one in the cookie.

        Raises:
            InvalidRefreshToken: it is none, or its session has ended, or ends with this.
            TooManyAttempts: too many of its network were none.
            InvalidProof: the session is bound to a key, of which the request has no good proof.
            CsrfFailed: it is in a cookie, and another page sent it.
        """
        presented = self.carrier.refresh_token() if given is None else given
        if presented is None:
            raise InvalidRefreshToken
        # Not the budget of what people know: nobody guesses 256 bits, and junk must keep nobody from logging in.
        async with counted(self.throttles, Budget("refresh-network", throttle_key(visitor.network), self.guesses)):
            return await self._refreshed(presented, visitor, by_cookie=given is None)

    async def _refreshed(self, presented: str, visitor: Visitor, *, by_cookie: bool) -> TokenPair:
        refresh_token = new_secret()
        # Commits also when the answer is an error: the end of a stolen family must outlive it.
        async with self.database.transaction() as unit_of_work:
            sessions = SessionRepository(unit_of_work)
            found = await sessions.refresh_token(digest(presented))
            if found is not None and by_cookie:
                self.carrier.require_own_page(found[1].id)
            if found is not None and found[1].holder not in (None, await self.holder.thumbprint()):
                raise InvalidProof
            if found is not None and await self._rotate(sessions, *found, refresh_token):
                found[1].visited(visitor, self.idle)
                session = found[1]
                memberships = await memberships_of(unit_of_work, session.user_id)
            else:
                session = None
        if session is None:
            raise InvalidRefreshToken
        tenant_id = session.tenant_id if session.tenant_id in {m.tenant_id for m in memberships} else None
        return self._pair(session, tenant_id, refresh_token)

    async def switch(self, principal: Principal, tenant_id: UUID) -> AccessToken:
        session = await self.sessions.locked(principal.session)
        if session.only_tenant_id not in (None, tenant_id):
            raise TenantNotAvailable
        session.tenant_id = await self._choose_tenant(principal.subject_id, tenant_id)
        session.last_used_at = now()
        await self.unit_of_work.flush()
        return self._access(session, tenant_id)

    async def log_out(self, principal: Principal) -> None:
        await self.sessions.end(principal.session, "logged_out")
        self.carrier.clear()
        _log.info("session.ended", session=str(principal.session), reason="logged_out")

    async def live(self, principal: Principal) -> list[Session]:
        return await self.sessions.live(principal.subject_id, principal.session)

    async def end(self, principal: Principal, session_id: UUID) -> None:
        """
        Raises:
            SessionNotFound: it is another person's, is over, or never was.
        """
        if not await self.sessions.end_seen(principal.subject_id, principal.session, only=session_id):
            raise SessionNotFound
        _log.info("session.ended", session=str(session_id), reason=BY_ITS_OWNER)

    async def end_others(self, principal: Principal) -> None:
        ended = await self.sessions.end_seen(principal.subject_id, principal.session)
        _log.info("sessions.ended", user=str(principal.subject_id), count=ended, reason=BY_ITS_OWNER)

    async def _new_holder(self) -> str | None:
        """The key that a new session is bound to. A cookie cannot be: a browser sends it without any proof."""
        holder = await self.holder.thumbprint()
        if holder is not None and self.carrier.uses_cookies:
            raise InvalidProof("A cookie is bound to no key.")
        return holder

    async def _end_replaced(self) -> None:
        """The session of a cookie that the new one replaces: only who has stolen it could still use it."""
        replaced = self.carrier.replaced_refresh_token()
        found = await self.sessions.refresh_token(digest(replaced)) if replaced else None
        if found is not None:
            found[1].end("replaced")
            await self.unit_of_work.flush()
            _log.info("session.ended", session=str(found[1].id), reason="replaced")

    async def _is_new_device(self, user_id: UUID, visitor: Visitor) -> bool:
        """Whether none of their earlier sessions had it in this network. The very first is no news."""
        earlier = await self.sessions.visitors(user_id)
        return bool(earlier) and known_by(visitor) not in map(known_by, earlier)

    async def _choose_tenant(self, user_id: UUID, asked: UUID | None) -> UUID | None:
        """The one asked for, else the last used, else the only one, else none."""
        available = {m.tenant_id for m in await memberships_of(self.unit_of_work, user_id)}
        if asked is not None:
            if asked not in available:
                raise TenantNotAvailable
            return asked
        last = await self.sessions.last_tenant(user_id)
        if last in available:
            return last
        return next(iter(available)) if len(available) == 1 else None

    async def _rotate(
        self, sessions: SessionRepository, token: RefreshTokenRow, session: SessionRow, successor: str
    ) -> bool:
        """Replace the token by its successor; False, and the whole family ended, when it was stolen."""
        if not session.is_live or is_recent(token.superseded_at):
            return False
        if token.used_at is None and token.superseded_at is None:
            token.used_at = now()
        elif not (is_recent(token.used_at) and await sessions.supersede_unused_child(token.id)):
            session.end("refresh_token_reused")
            _log.warning("session.ended", session=str(session.id), reason="refresh_token_reused")
            return False
        await sessions.add_refresh_token(session.id, digest(successor), parent_id=token.id)
        return True

    def _access(self, session: SessionRow, tenant_id: UUID | None) -> AccessToken:
        return self._handed_out(AccessToken, session, tenant_id)

    def _pair(self, session: SessionRow, tenant_id: UUID | None, refresh_token: str) -> TokenPair:
        return self._handed_out(TokenPair, session, tenant_id, refresh_token=refresh_token)

    def _handed_out(self, type_: type[T], session: SessionRow, tenant_id: UUID | None, **secrets: str) -> T:
        principal = Principal(
            session.user_id, session.id, tenant_id, authenticated_at=session.authenticated_at, holder=session.holder
        )
        secrets["access_token"] = self.tokens.issue(principal)
        if self.carrier.uses_cookies:
            carried = self.carrier.carry(session.id, secrets["access_token"], secrets.get("refresh_token"))
            secrets = {"csrf_token": carried}
        seconds = int(self.tokens.lifetime.total_seconds())
        return type_(
            token_type=BEARER if session.holder is None else "DPoP",
            expires_in=seconds,
            session_id=session.id,
            tenant_id=tenant_id,
            **secrets,
        )


def known_by(visitor: Visitor) -> tuple[str, str]:
    """Versions change every month, and make no other device."""
    return VERSION.sub("", visitor.user_agent), visitor.network


def is_recent(moment: datetime | None) -> bool:
    """So recent that a lost reply or two racing tabs explain a second use."""
    return moment is not None and now() - moment <= LOST_REPLY_GRACE
