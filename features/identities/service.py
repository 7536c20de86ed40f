"""What the word of an identity provider is worth: an account that somebody has, gets, or links it to."""

from uuid import UUID

import msgspec
import structlog

from features.accounts.api import address_of, create_account, credentials_of_user, normalized
from features.auth.api import demand_second_factor
from features.identities.dtos import Identity
from features.identities.errors import (
    AccountExists,
    AccountRefused,
    AddressDiffers,
    AddressNotVerified,
    AnotherIdentity,
    DomainNotConfirmed,
    NotAMemberThere,
)
from features.identities.repository import IdentityRepository
from features.sessions.api import AccessToken, Proof, SessionService, TokenPair
from features.sso_connections.api import KnownConnection
from features.tenants.api import MemberNotFound, MembershipService, active_tenant, membership_of
from tenantry.db.database import Database
from tenantry.db.session import UnitOfWork
from tenantry.mail import EmailAddress
from tenantry.oidc.id_token import Claims
from tenantry.security.principal import Principal
from tenantry.visitor import Visitor

_log = structlog.get_logger("features.identities")


class ArrivalService:
    """Whom a provider has vouched for: an account that they have, that they get, or that they link."""

    def __init__(self, unit_of_work: UnitOfWork, database: Database, sessions: SessionService) -> None:
        self.unit_of_work, self.database, self.sessions = unit_of_work, database, sessions
        self.identities = IdentityRepository(unit_of_work)

    async def log_in(self, claims: Claims, connection: KnownConnection | None, visitor: Visitor) -> TokenPair:
        """
        Raises:
            AccountExists: of their address, and it is not linked to this identity.
            AddressNotVerified, DomainNotConfirmed, AccountRefused, NotAMemberThere
            SecondFactorRequired: the account has one, and only the operator's provider vouches for its owner.
        """
        if connection is not None:
            await self.unit_of_work.bind_tenant(connection.tenant_id)
        user_id = await self.identities.user_of(claims.issuer, claims.subject)
        if user_id is None:
            user_id = await self._welcome(claims, connection)
        known = await credentials_of_user(self.unit_of_work, user_id)
        if known is None or known.disabled:
            raise AccountRefused
        proof = proof_of(claims, connection)
        if connection is None and known.has_second_factor:
            await demand_second_factor(self.database, known.user_id, proof)
        if connection is not None:
            await self._require_member(user_id)
        await self.identities.touch(claims.issuer, claims.subject)
        return await self.sessions.open(user_id, visitor, proof)

    async def prove_again(
        self, claims: Claims, connection: KnownConnection | None, principal: Principal
    ) -> AccessToken:
        """Of somebody who is logged in already, and has logged in anew at the provider that vouches for their session.

        Raises:
            AnotherIdentity: of somebody else, or of nobody here.
            SecondFactorRequired: as for a log-in.
        """
        if principal.subject_id != await self.identities.user_of(claims.issuer, claims.subject):
            raise AnotherIdentity
        known = await credentials_of_user(self.unit_of_work, principal.subject_id)
        proof = msgspec.structs.replace(proof_of(claims, connection), at=claims.authenticated_at)
        if connection is None and known is not None and known.has_second_factor:
            await demand_second_factor(self.database, principal.subject_id, proof, session_id=principal.session)
        return await self.sessions.prove_again(principal.session, proof)

    async def link(self, claims: Claims, principal: Principal) -> Identity:
        """
        Raises:
            AddressNotVerified, AddressDiffers, IdentityTaken
        """
        address = verified_address(claims)
        if address != await address_of(self.unit_of_work, principal.subject_id):
            raise AddressDiffers
        _log.info("identity.linked", user=str(principal.subject_id), issuer=claims.issuer)
        return await self.identities.link(principal.subject_id, claims.issuer, claims.subject)

    async def _welcome(self, claims: Claims, connection: KnownConnection | None) -> UUID:
        address = verified_address(claims)
        if connection is not None and address.rpartition("@")[2] not in connection.confirmed_domains:
            # Before anything is said of the account: a tenant's provider can name any address that it likes.
            raise DomainNotConfirmed
        name = (claims.name or "").strip()[:200] or address.partition("@")[0]
        user_id = await create_account(self.unit_of_work, address, name)
        if user_id is None:
            raise AccountExists
        await self.identities.link(user_id, claims.issuer, claims.subject)
        if connection is not None:
            await active_tenant(self.unit_of_work, connection.tenant_id)
            await MembershipService(self.unit_of_work).admit(connection.default_role, user_id=user_id)
        _log.info("account.created", user=str(user_id), issuer=claims.issuer)
        return user_id

    async def _require_member(self, user_id: UUID) -> None:
        try:
            await membership_of(self.unit_of_work, user_id)
        except MemberNotFound as error:
            raise NotAMemberThere from error


def proof_of(claims: Claims, connection: KnownConnection | None) -> Proof:
    """The operator's provider counts as a password does; a tenant's in that tenant, for what it says it has seen."""
    if connection is None:
        return Proof(("sso",))
    has_mfa = "mfa" in claims.methods
    return Proof(("sso", *(("mfa",) if has_mfa else ())), has_mfa, connection.id, connection.tenant_id)


def verified_address(claims: Claims) -> str:
    address = normalized(claims.email or "")
    try:
        msgspec.convert(address, EmailAddress)
    except msgspec.ValidationError as error:
        raise AddressNotVerified from error
    if not claims.email_verified:
        raise AddressNotVerified
    return address
