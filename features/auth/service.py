"""Signing up and signing in: several aggregates, mail and slow hashing, none of it while a connection is held."""

import hashlib
import secrets
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from msgspec.structs import asdict

from features.auth.dtos import AccessToken, ClientToken, Login, SignUp, TokenPair
from features.auth.errors import InvalidCredentials, InvalidRefreshToken, InvalidVerification, TenantNotAvailable
from features.auth.models import RefreshTokenRow, SessionRow, UserRow
from features.auth.repository import SessionRepository, SignUpRepository, UserRepository
from features.tenants.api import membership_of, memberships_of
from tenantry.cache import Cache, shared_key
from tenantry.clock import now
from tenantry.config import Settings
from tenantry.db.database import Database
from tenantry.db.session import UnitOfWork
from tenantry.errors import Unavailable
from tenantry.mail import Mail, Mailer
from tenantry.security.api_keys import InvalidApiKey, principal_of_key
from tenantry.security.passwords import PasswordService
from tenantry.security.principal import KeyClaim, Principal
from tenantry.security.tokens import TokenService

_log = structlog.get_logger("features.auth")
LINK_LIFETIME = timedelta(hours=24)
MAIL_INTERVAL = timedelta(minutes=1)
LOST_REPLY_GRACE = timedelta(seconds=10)


class AccountService:
    """From a sign-up to an account. Its answers do not tell whether an address is registered."""

    def __init__(
        self, database: Database, passwords: PasswordService, mailer: Mailer, settings: Settings, cache: Cache
    ) -> None:
        self.database, self.passwords, self.mailer = database, passwords, mailer
        self.settings, self.cache = settings, cache

    async def sign_up(self, data: SignUp) -> None:
        email = normalized(data.email)
        password_hash = await self.passwords.hash(data.password)
        token = new_secret()
        async with self.database.transaction() as unit_of_work:
            registered = await UserRepository(unit_of_work).exists(email)
            if not registered:
                await SignUpRepository(unit_of_work).add(
                    email, data.name.strip(), password_hash, digest(token), LINK_LIFETIME
                )
        await self.mailer.send(already_registered(email) if registered else self._confirmation(email, token))

    async def resend(self, email: str) -> None:
        email = normalized(email)
        throttle = shared_key("verification-mail", digest(email).hex())
        if not await self.cache.add(throttle, True, ttl=MAIL_INTERVAL):
            return
        token = new_secret()
        async with self.database.transaction() as unit_of_work:
            renewed = await SignUpRepository(unit_of_work).renew_only(email, digest(token), LINK_LIFETIME)
        if renewed:
            try:
                await self.mailer.send(self._confirmation(email, token))
            except Unavailable:
                await self.cache.delete(throttle)
                raise

    async def verify(self, token: str) -> None:
        async with self.database.transaction() as unit_of_work:
            confirmed = await SignUpRepository(unit_of_work).confirm(digest(token))
            if confirmed is None or await UserRepository(unit_of_work).exists(confirmed.email):
                raise InvalidVerification
            user = await UserRepository(unit_of_work).add(
                UserRow(email=confirmed.email, name=confirmed.name, password_hash=confirmed.password_hash)
            )
        _log.info("account.created", user=str(user.id))

    def _confirmation(self, email: str, token: str) -> Mail:
        link = f"{self.settings.base_url}/api/v1/auth/email/verify?token={token}"
        if not self.settings.is_production:
            _log.info("mail.link", link=link)
        return confirm_address(email, link)


class SessionService:
    """From a password to a session, from one token to the next, from one tenant to another."""

    def __init__(
        self, unit_of_work: UnitOfWork, database: Database, passwords: PasswordService, tokens: TokenService,
        settings: Settings,
    ) -> None:  # fmt: skip
        self.unit_of_work, self.database = unit_of_work, database
        self.passwords, self.tokens = passwords, tokens
        self.lifetime = timedelta(days=settings.refresh_token_days)

    async def log_in(self, data: Login, user_agent: str) -> TokenPair:
        user_id = await self._authenticate(normalized(data.email), data.password)
        tenant_id = await self._choose_tenant(user_id, data.tenant_id)
        sessions = SessionRepository(self.unit_of_work)
        session_id = await sessions.open(user_id, tenant_id, printable(user_agent)[:256], self.lifetime)
        refresh_token = new_secret()
        await sessions.add_refresh_token(session_id, digest(refresh_token))
        _log.info("session.opened", user=str(user_id), session=str(session_id))
        return self._pair(Principal(user_id, session_id, tenant_id), refresh_token)

    async def refresh(self, presented: str) -> TokenPair:
        refresh_token = new_secret()
        # Commits also when the answer is an error: the end of a stolen family must outlive it.
        async with self.database.transaction() as unit_of_work:
            sessions = SessionRepository(unit_of_work)
            found = await sessions.refresh_token(digest(presented))
            if found is not None and await self._rotate(sessions, *found, refresh_token):
                session = found[1]
                memberships = await memberships_of(unit_of_work, session.user_id)
            else:
                session = None
        if session is None:
            raise InvalidRefreshToken
        tenant_id = session.tenant_id if session.tenant_id in {m.tenant_id for m in memberships} else None
        return self._pair(Principal(session.user_id, session.id, tenant_id), refresh_token)

    async def switch(self, principal: Principal, tenant_id: UUID) -> AccessToken:
        chosen = await self._choose_tenant(principal.subject_id, tenant_id)
        await SessionRepository(self.unit_of_work).switch(principal.session, tenant_id)
        return self._access(Principal(principal.subject_id, principal.session, chosen))

    async def log_out(self, principal: Principal) -> None:
        await SessionRepository(self.unit_of_work).end(principal.session, "logged_out")
        _log.info("session.ended", session=str(principal.session), reason="logged_out")

    async def _authenticate(self, email: str, password: str) -> UUID:
        # A transaction of its own, so that no connection waits for the hashing.
        async with self.database.transaction() as unit_of_work:
            known = await UserRepository(unit_of_work).credentials(email)
        matches = await self.passwords.verify(password, known.password_hash if known else None)
        if known is None or not matches or known.disabled:
            _log.warning("login.refused", email=email)
            raise InvalidCredentials
        if self.passwords.needs_rehash(known.password_hash):
            await UserRepository(self.unit_of_work).replace_hash(known.user_id, await self.passwords.hash(password))
        return known.user_id

    async def _choose_tenant(self, user_id: UUID, asked: UUID | None) -> UUID | None:
        """The one asked for, else the last used, else the only one, else none."""
        available = {m.tenant_id for m in await memberships_of(self.unit_of_work, user_id)}
        if asked is not None:
            if asked not in available:
                raise TenantNotAvailable
            return asked
        last = await SessionRepository(self.unit_of_work).last_tenant(user_id)
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
        session.prolong(self.lifetime)
        await sessions.add_refresh_token(session.id, digest(successor), parent_id=token.id)
        return True

    def _access(self, principal: Principal) -> AccessToken:
        seconds = int(self.tokens.lifetime.total_seconds())
        return AccessToken(self.tokens.issue(principal), "Bearer", seconds, principal.session, principal.tenant_id)

    def _pair(self, principal: Principal, refresh_token: str) -> TokenPair:
        return TokenPair(**asdict(self._access(principal)), refresh_token=refresh_token)


class ClientService:
    """From an API key to a token that lives as long as the key does, and no longer than a token."""

    def __init__(self, database: Database, tokens: TokenService) -> None:
        self.database, self.tokens = database, tokens

    async def token(self, client_id: str, client_secret: str) -> ClientToken:
        """
        Raises:
            Unauthenticated, Forbidden: the key is not good, not of this service account, or its tenant is not active.
        """
        principal = principal_of_key(client_secret.encode())
        async with self.database.transaction() as unit_of_work:
            unit_of_work.begin_request(principal, None)
            await unit_of_work.authorize()
            member = await membership_of(unit_of_work, principal.subject_id)
        if not member.is_service_account or str(member.subject_id) != client_id:
            raise InvalidApiKey
        assert principal.key is not None
        claim = KeyClaim(principal.key.id, secret_hash=None)
        _log.info("token.issued", subject=str(member.subject_id))
        token = self.tokens.issue(Principal(member.subject_id, None, member.tenant_id, claim))
        return ClientToken(token, "Bearer", int(self.tokens.lifetime.total_seconds()), member.tenant_id)


def is_recent(moment: datetime | None) -> bool:
    """So recent that a lost reply or two racing tabs explain a second use."""
    return moment is not None and now() - moment <= LOST_REPLY_GRACE


def normalized(email: str) -> str:
    return email.strip().lower()


def printable(text: str) -> str:
    return "".join(character for character in text if character.isprintable())


def new_secret() -> str:
    """256 random bits."""
    return secrets.token_urlsafe(32)


def digest(secret: str) -> bytes:
    """What is stored of a random secret; it needs no slow hash."""
    return hashlib.sha256(secret.encode()).digest()


def confirm_address(email: str, link: str) -> Mail:
    return Mail(
        email,
        "Confirm your e-mail address",
        f"Welcome to Tenantry.\n\nOpen this link within 24 hours to confirm your address:\n\n{link}\n\n"
        "If it was not you who signed up, ignore this mail: without the link no account comes into being.\n",
    )


def already_registered(email: str) -> Mail:
    return Mail(
        email,
        "You already have an account",
        "Somebody, probably you, signed up to Tenantry with this address.\n"
        "It has an account already: log in with it.\n\n"
        "If it was not you, there is nothing to do.\n",
    )
