"""From a password or a key to a token; no connection waits while a password is hashed."""

from datetime import timedelta
from functools import partial
from typing import Literal
from uuid import UUID

import structlog

from features.accounts.api import Credentials, credentials_of, credentials_of_user, normalized, replace_hash
from features.auth.dtos import Challenge, ClientToken, Login
from features.auth.errors import InvalidChallenge, InvalidCredentials, SecondFactorRequired
from features.auth.models import ChallengeRow
from features.auth.repository import ChallengeRepository
from features.guesses.api import GuessService
from features.sessions.api import AccessToken, Proof, SessionService, TokenPair, knows_network
from features.tenants.api import membership_of
from tenantry.clock import now
from tenantry.db.database import Database
from tenantry.db.session import UnitOfWork
from tenantry.security.api_keys import InvalidApiKey, principal_of_key
from tenantry.security.passwords import PasswordService
from tenantry.security.possession import Holder
from tenantry.security.principal import KeyClaim, Principal
from tenantry.security.secrets import digest, new_secret
from tenantry.security.tokens import TokenService
from tenantry.visitor import Visitor

_log = structlog.get_logger("features.auth")
CHALLENGE_LIFETIME = timedelta(minutes=10)
PASSWORD = Proof(("pwd",))


class LoginService:
    def __init__(
        self,
        unit_of_work: UnitOfWork,
        database: Database,
        passwords: PasswordService,
        sessions: SessionService,
        guesses: GuessService,
    ) -> None:
        self.unit_of_work, self.database = unit_of_work, database
        self.passwords, self.sessions, self.guesses = passwords, sessions, guesses

    async def log_in(self, data: Login, visitor: Visitor) -> TokenPair:
        """
        Raises:
            SecondFactorRequired: the account has one; it carries the challenge.
        """
        email = normalized(data.email)
        async with self.database.transaction() as unit_of_work:
            found = await credentials_of(unit_of_work, email)
            at_home = found is not None and await knows_network(unit_of_work, found.user_id, visitor)
        who = found.user_id if found else email
        pretend = partial(self.passwords.pretend, data.password)
        async with self.guesses.at_account(who, visitor, at_home=at_home, wrong=InvalidCredentials, pretend=pretend):
            known = await self._authenticate(found, data.password)
        if known.has_second_factor:
            await demand_second_factor(self.database, known.user_id, PASSWORD, tenant_id=data.tenant_id)
        return await self.sessions.open(known.user_id, visitor, PASSWORD, data.tenant_id)

    async def prove_again(self, principal: Principal, password: str, visitor: Visitor) -> AccessToken:
        """Of somebody who is logged in already, before they do what matters most."""
        async with self.database.transaction() as unit_of_work:
            found = await credentials_of_user(unit_of_work, principal.subject_id)
        pretend = partial(self.passwords.pretend, password)
        async with self.guesses.at_person(principal.subject_id, visitor, wrong=InvalidCredentials, pretend=pretend):
            known = await self._authenticate(found, password)
        if known.has_second_factor:
            await demand_second_factor(self.database, known.user_id, PASSWORD, session_id=principal.session)
        return await self.sessions.prove_again(principal.session, PASSWORD)

    async def _authenticate(self, known: Credentials | None, password: str) -> Credentials:
        """They come from a transaction that has ended, so that no connection waits for the hashing."""
        matches = await self.passwords.verify(password, known.password_hash if known else None)
        if known is None or not matches or known.disabled:
            _log.warning("login.refused", user=str(known.user_id) if known else None)
            raise InvalidCredentials
        if known.password_hash and self.passwords.needs_rehash(known.password_hash):
            renewed = await self.passwords.hash(password)
            await replace_hash(self.unit_of_work, known.user_id, known.password_hash, renewed)
        return known


class ChallengeService:
    """The second step, for whoever knows how to judge it."""

    def __init__(self, unit_of_work: UnitOfWork, sessions: SessionService) -> None:
        self.unit_of_work, self.sessions = unit_of_work, sessions
        self.challenges = ChallengeRepository(unit_of_work)

    async def find(self, token: str) -> Challenge:
        """
        Raises:
            InvalidChallenge: there is none, or it took too long.
        """
        found = await self.challenges.find(digest(token))
        if found is None:
            raise InvalidChallenge
        return found

    async def complete(
        self, challenge: Challenge, visitor: Visitor, methods: tuple[str, ...]
    ) -> TokenPair | AccessToken:
        """Open the session that was asked for, or prove again who its owner is; once for each challenge."""
        if not await self.challenges.redeem(challenge.id):
            raise InvalidChallenge
        proof = Proof((*challenge.methods, *methods, "mfa"), has_second_factor=True)
        if challenge.session_id is not None:
            return await self.sessions.prove_again(challenge.session_id, proof)
        return await self.sessions.open(challenge.user_id, visitor, proof, challenge.tenant_id)


class ClientService:
    """From an API key to a token that lives as long as the key does, and no longer than a token."""

    def __init__(self, database: Database, tokens: TokenService, guesses: GuessService, holder: Holder) -> None:
        self.database, self.tokens, self.guesses, self.holder = database, tokens, guesses, holder

    async def token(self, client_id: str, client_secret: str, visitor: Visitor) -> ClientToken:
        """
        Raises:
            Unauthenticated, Forbidden: the key is not good, not of this service account, or its tenant is not active.
            TooManyAttempts: too many of its network were not good.
        """
        async with self.guesses.at_client(visitor):
            return await self._token(client_id, client_secret)

    async def _token(self, client_id: str, client_secret: str) -> ClientToken:
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
        holder = await self.holder.thumbprint()
        token = self.tokens.issue(Principal(member.subject_id, None, member.tenant_id, claim, holder=holder))
        kind: Literal["Bearer", "DPoP"] = "Bearer" if holder is None else "DPoP"
        return ClientToken(token, kind, int(self.tokens.lifetime.total_seconds()), member.tenant_id)


async def demand_second_factor(
    database: Database, user_id: UUID, first: Proof, *, tenant_id: UUID | None = None, session_id: UUID | None = None
) -> None:
    """Of somebody who has taken the first of two steps.

    Raises:
        SecondFactorRequired: always; it carries the challenge.
    """
    token = new_secret()
    row = ChallengeRow(
        user_id=user_id,
        session_id=session_id,
        tenant_id=tenant_id,
        token_hash=digest(token),
        methods=[*first.methods],
        expires_at=now() + CHALLENGE_LIFETIME,
    )
    # The answer is an error, with which the request's own transaction ends.
    async with database.transaction() as unit_of_work:
        await ChallengeRepository(unit_of_work).add(row)
    raise SecondFactorRequired(token, seconds=int(CHALLENGE_LIFETIME.total_seconds()))
