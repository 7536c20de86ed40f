"""From a proof to a session, from one token to the next, from one tenant to another."""

from datetime import datetime, timedelta
from uuid import UUID

import structlog
from msgspec.structs import asdict

from features.sessions.dtos import AccessToken, Proof, Session, TokenPair
from features.sessions.errors import InvalidRefreshToken, SessionNotFound, TenantNotAvailable
from features.sessions.models import RefreshTokenRow, SessionRow
from features.sessions.repository import SessionRepository
from features.tenants.api import memberships_of
from tenantry.clock import now
from tenantry.config import Settings
from tenantry.db.database import Database
from tenantry.db.session import UnitOfWork
from tenantry.limits.guesses import Budget, counted
from tenantry.limits.rate import Rate
from tenantry.limits.throttles import Throttles, throttle_key
from tenantry.security.principal import Principal
from tenantry.security.secrets import digest, new_secret
from tenantry.security.tokens import TokenService
from tenantry.visitor import Visitor

_log = structlog.get_logger("features.sessions")
LOST_REPLY_GRACE = timedelta(seconds=10)
GUESSING = timedelta(minutes=10)


class SessionService:
    def __init__(
        self,
        unit_of_work: UnitOfWork,
        database: Database,
        tokens: TokenService,
        throttles: Throttles,
        settings: Settings,
    ) -> None:
        self.unit_of_work, self.database, self.tokens = unit_of_work, database, tokens
        self.throttles, self.guesses = throttles, Rate(settings.guesses_per_network, per=GUESSING)
        self.sessions = SessionRepository(unit_of_work)
        self.idle = timedelta(days=settings.refresh_token_days)
        self.longest = timedelta(days=settings.session_days)

    async def open(self, user_id: UUID, visitor: Visitor, proof: Proof, tenant_id: UUID | None = None) -> TokenPair:
        """For somebody who has proven who they are.

        Raises:
            TenantNotAvailable: they are no member of the tenant that is asked for.
        """
        chosen = await self._choose_tenant(user_id, proof.only_tenant_id or tenant_id)
        session = await self.sessions.open(user_id, chosen, visitor, proof, self.idle, self.longest)
        refresh_token = new_secret()
        await self.sessions.add_refresh_token(session.id, digest(refresh_token))
        _log.info("session.opened", user=str(user_id), session=str(session.id), methods=session.methods)
        return self._pair(session, chosen, refresh_token)

    async def prove_again(self, session_id: UUID, proof: Proof) -> AccessToken:
        """What its owner has just proven counts for the session that they have."""
        session = await self.sessions.locked(session_id)
        session.prove(proof)
        await self.unit_of_work.flush()
        return self._access(session, session.tenant_id)

    async def refresh(self, presented: str, visitor: Visitor) -> TokenPair:
        """
        Raises:
            InvalidRefreshToken: it is none, or its session has ended, or ends with this.
            TooManyAttempts: too many of its network were none.
        """
        async with counted(self.throttles, Budget("refresh-network", throttle_key(visitor.network), self.guesses)):
            return await self._refreshed(presented, visitor)

    async def _refreshed(self, presented: str, visitor: Visitor) -> TokenPair:
        refresh_token = new_secret()
        # Commits also when the answer is an error: the end of a stolen family must outlive it.
        async with self.database.transaction() as unit_of_work:
            sessions = SessionRepository(unit_of_work)
            found = await sessions.refresh_token(digest(presented))
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
        _log.info("session.ended", session=str(principal.session), reason="logged_out")

    async def live(self, principal: Principal) -> list[Session]:
        return await self.sessions.live(principal.subject_id, principal.session)

    async def end(self, principal: Principal, session_id: UUID) -> None:
        """
        Raises:
            SessionNotFound: it is another person's, is over, or never was.
        """
        if not await self.sessions.end_all(principal.subject_id, "ended_by_its_owner", only=session_id):
            raise SessionNotFound
        _log.info("session.ended", session=str(session_id), reason="ended_by_its_owner")

    async def end_others(self, principal: Principal) -> None:
        ended = await self.sessions.end_all(principal.subject_id, "ended_by_its_owner", but=principal.session)
        _log.info("sessions.ended", user=str(principal.subject_id), count=ended, reason="ended_by_its_owner")

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
        seconds = int(self.tokens.lifetime.total_seconds())
        principal = Principal(session.user_id, session.id, tenant_id, authenticated_at=session.authenticated_at)
        return AccessToken(self.tokens.issue(principal), "Bearer", seconds, session.id, tenant_id)

    def _pair(self, session: SessionRow, tenant_id: UUID | None, refresh_token: str) -> TokenPair:
        return TokenPair(**asdict(self._access(session, tenant_id)), refresh_token=refresh_token)


def is_recent(moment: datetime | None) -> bool:
    """So recent that a lost reply or two racing tabs explain a second use."""
    return moment is not None and now() - moment <= LOST_REPLY_GRACE
