"""Log-ins by identity providers, on their way there and back.

No transaction of these waits for a provider, and with the fast lane no other: without it, that of a request that had
to be authorized first, as to link an identity, stays open meanwhile. What is used up is used up in a transaction of its
own, whatever follows.
"""

from datetime import datetime, timedelta
from uuid import UUID

import msgspec
import structlog

from features.accounts.api import normalized
from features.sso.dtos import Answer, Destination, Flow
from features.sso.errors import InvalidCode, InvalidState, ReturnUrlNotAllowed, WrongIssuer
from features.sso.models import PURPOSE
from features.sso.repository import FlowRepository
from features.sso_connections.api import ConnectionNotFound, KnownConnection, connection_of, connection_of_domain
from tenantry.clock import now
from tenantry.config import Settings
from tenantry.db.database import Database
from tenantry.feature import API_PREFIX
from tenantry.ids import new_id
from tenantry.limits.rate import Rate
from tenantry.limits.throttles import Throttles, throttle_key
from tenantry.oidc.client import OpenIdClient, Registration, Request, with_query
from tenantry.oidc.id_token import Claims
from tenantry.security.secrets import digest, new_secret
from tenantry.security.vault import Vault
from tenantry.visitor import Visitor

_log = structlog.get_logger("features.sso")
AT_PROVIDER, CODE_LIFETIME = timedelta(minutes=10), timedelta(minutes=1)
STARTS = Rate(100, per=timedelta(minutes=1))
TOLD_ERRORS = frozenset({"access_denied", "login_required", "interaction_required", "consent_required"})


class Travel(msgspec.Struct):
    """What a flow keeps sealed."""

    nonce: str
    verifier: str
    code: str = ""
    since: datetime | None = None
    """When the person who proves again who they are was sent; none of all other flows."""


class FlowService:
    def __init__(
        self, database: Database, openid: OpenIdClient, vault: Vault, settings: Settings, throttles: Throttles
    ) -> None:
        self.database, self.openid, self.throttles = database, openid, throttles
        self.vault, self.settings = vault, settings

    async def resolved(self, to: Destination, email: str | None, visitor: Visitor) -> Destination:
        """With the connection of the domain of an address, where one is given.

        Raises:
            TooManyAttempts, ConnectionNotFound
        """
        await self.throttles.take("sso-start", throttle_key(visitor.network), STARTS)
        if email is None:
            return to
        async with self.database.transaction() as unit_of_work:
            found = await connection_of_domain(unit_of_work, normalized(email).rpartition("@")[2])
        return msgspec.structs.replace(to, tenant_id=found[0], connection_id=found[1])

    async def begin(self, to: Destination, browser: str, session_id: UUID | None = None, *, anew: bool = False) -> str:
        """The address at which the provider asks who somebody is, `anew` even if it knows.

        Raises:
            ReturnUrlNotAllowed, ConnectionNotFound, ProviderUnavailable
        """
        return_to = self._allowed(to.return_to)
        _, at = await self._registration(to.tenant_id, to.connection_id)
        provider = await self.openid.provider(at.issuer)
        id, state = new_id(), new_secret()
        request = Request(new_secret(), new_secret(), now() if anew else None)
        async with self.database.transaction() as unit_of_work:
            flows = FlowRepository(unit_of_work)
            await flows.prune()
            await flows.add(
                id=id,
                state_hash=digest(state),
                browser_hash=digest(browser),
                sealed=self._sealed(id, Travel(request.nonce, request.verifier, since=request.since)),
                tenant_id=to.tenant_id,
                connection_id=to.connection_id,
                issuer=at.issuer,
                requires_iss=provider.metadata.authorization_response_iss_parameter_supported,
                return_to=return_to,
                challenge=to.challenge,
                session_id=session_id,
                expires_at=now() + AT_PROVIDER,
            )
        return await self.openid.authorization_url(at, request, state)

    async def receive(self, state: str, browser: str, answer: Answer) -> str:
        """What the provider has sent the browser back with; where the browser goes now.

        Raises:
            InvalidState: it is not of this browser, or was used before.
            WrongIssuer: another provider than was asked has answered, RFC 9207.
        """
        code = new_secret()
        async with self.database.transaction() as unit_of_work:
            flows = FlowRepository(unit_of_work)
            flow = await flows.with_state(digest(state), digest(browser))
            is_issuer = flow is not None and answer.is_of(flow)
            if flow is not None and is_issuer and answer.code:
                travel = msgspec.structs.replace(self._opened(flow), code=answer.code)
                sealed = self._sealed(flow.id, travel)
                await flows.await_code(flow.id, code_hash=digest(code), sealed=sealed, expires_at=now() + CODE_LIFETIME)
        if flow is None:
            raise InvalidState
        if not is_issuer:
            _log.warning("sso.issuer_mismatch", expected=flow.issuer)
            raise WrongIssuer
        if answer.code:
            return with_query(flow.return_to, sso_code=code)
        error = answer.error or ""
        return with_query(flow.return_to, sso_error=error if error in TOLD_ERRORS else "provider_error")

    async def claims(
        self, code: str, verifier: str | None, browser: str, session_id: UUID | None = None, *, anew: bool = False
    ) -> tuple[Claims, KnownConnection | None]:
        """Ends the flow whose code it is, and asks the provider who it was.

        Raises:
            InvalidCode: the code is not of who presents it, of another purpose, or was used before.
            ProviderUnavailable, ProviderRefused, InvalidIdToken, ProofNotFresh
        """
        async with self.database.transaction() as unit_of_work:
            flow = await FlowRepository(unit_of_work).with_code(digest(code))
        if flow is None or flow.session_id != session_id or not flow.is_of(verifier, digest(browser)):
            raise InvalidCode
        connection, at = await self._registration(flow.tenant_id, flow.connection_id)
        travel = self._opened(flow)
        if at.issuer != flow.issuer or anew is not (travel.since is not None):
            raise InvalidCode
        request = Request(travel.nonce, travel.verifier, travel.since)
        return await self.openid.redeem(at, request, travel.code), connection

    async def _registration(
        self, tenant_id: UUID | None, connection_id: UUID | None
    ) -> tuple[KnownConnection | None, Registration]:
        redirect = f"{self.settings.base_url}{API_PREFIX}/auth/sso/callback"
        if tenant_id is not None and connection_id is not None:
            async with self.database.transaction() as unit_of_work:
                known = await connection_of(unit_of_work, self.vault, self.settings, tenant_id, connection_id)
            return known, Registration(known.issuer, known.client_id, known.client_secret, redirect)
        settings = self.settings
        if connection_id is not None or not (settings.sso_issuer and settings.sso_client_id):
            raise ConnectionNotFound
        secret = settings.sso_client_secret or ""
        return None, Registration(settings.sso_issuer, settings.sso_client_id, secret, redirect)

    def _allowed(self, wanted: str | None) -> str:
        """Exactly one of those that are configured: nothing that only begins like it."""
        listed = [url.strip() for url in self.settings.sso_return_urls.split(",") if url.strip()]
        allowed = listed or [f"{self.settings.base_url}/docs"]
        if wanted is not None and wanted not in allowed:
            raise ReturnUrlNotAllowed
        return wanted or allowed[0]

    def _sealed(self, id: UUID, travel: Travel) -> bytes:
        return self.vault.seal(msgspec.msgpack.encode(travel), purpose=PURPOSE, owner=id.bytes)

    def _opened(self, flow: Flow) -> Travel:
        plain = self.vault.open(flow.sealed, purpose=PURPOSE, owner=flow.id.bytes)
        return msgspec.msgpack.decode(plain, type=Travel)
