"""Who belongs to the tenant: aggregates of two slices, and mail for which no connection waits."""

import base64
import binascii
import hashlib
import secrets
from uuid import UUID

import structlog

from features.members.dtos import Invitation, InvitationCreate, Member
from features.members.errors import (
    AlreadyInvited,
    InvalidInvitation,
    InvitationForAnotherAddress,
    NotAnOwner,
    NothingToLeave,
    TransferToYourself,
)
from features.members.models import LIFETIME, InvitationRow
from features.members.repository import InvitationRepository, MemberRepository
from features.roles.api import require_grantable
from features.tenants.api import AlreadyAMember, Membership, MembershipService, active_tenant, membership_of
from tenantry.config import Settings
from tenantry.db.database import Database
from tenantry.db.session import UnitOfWork
from tenantry.mail import Mail, Mailer
from tenantry.security.permissions import Role
from tenantry.security.principal import Principal

_log = structlog.get_logger("features.members")
ACCEPT_PATH = "/api/v1/invitations/accept"
SECRET_BYTES = 32


class MemberService:
    """Changes of memberships; those of service accounts are none of its business."""

    def __init__(self, unit_of_work: UnitOfWork) -> None:
        self.unit_of_work = unit_of_work
        self.members = MemberRepository(unit_of_work)
        self.memberships = MembershipService(unit_of_work)

    async def change_role(self, user_id: UUID, role: str, by: Principal) -> Member:
        await self.members.get(user_id)
        await self.memberships.change_role(user_id, role, by)
        return await self.members.get(user_id)

    async def remove(self, user_id: UUID, by: Principal) -> None:
        await self.members.get(user_id)
        await self.memberships.remove(user_id, by)

    async def leave(self, principal: Principal) -> None:
        if principal.tenant_id is None:
            raise NothingToLeave
        await self.unit_of_work.bind_tenant(principal.tenant_id)
        await self.memberships.remove(principal.subject_id, principal)

    async def transfer_ownership(self, user_id: UUID, by: Principal) -> Member:
        """Two at the same moment may meet in a deadlock; whoever loses it is asked again by the gate."""
        if user_id == by.subject_id:
            raise TransferToYourself
        if (await membership_of(self.unit_of_work, by.subject_id)).role != Role.owner.name:
            raise NotAnOwner
        heir = await self.change_role(user_id, Role.owner.name, by)
        await self.memberships.change_role(by.subject_id, Role.admin.name, by)
        return heir


class AcceptanceService:
    """From an invitation to a membership."""

    def __init__(self, unit_of_work: UnitOfWork) -> None:
        self.unit_of_work = unit_of_work

    async def accept(self, token: str, principal: Principal) -> Membership:
        tenant_id = tenant_in(token)
        if tenant_id is None:
            raise InvalidInvitation
        await self.unit_of_work.bind_tenant(tenant_id)
        invitation = await InvitationRepository(self.unit_of_work).redeem(digest(token))
        if invitation is None:
            raise InvalidInvitation
        # Whatever is refused from here on leaves the invitation where it was: nothing of a refused request stays.
        if invitation.email != await MemberRepository(self.unit_of_work).address_of(principal.subject_id):
            raise InvitationForAnotherAddress
        await active_tenant(self.unit_of_work, tenant_id)
        return await MembershipService(self.unit_of_work).admit(invitation.role, user_id=principal.subject_id)


class InvitationService:
    """Mail is sent before the invitation is kept, so none is left that nobody was told of.

    What can be refused is refused before the mail leaves, in a transaction that ends by then: a mail server may take
    seconds. It is looked at again in the transaction that keeps the invitation. Where somebody else was faster in
    between, a mail has left whose token is good for nothing.
    """

    def __init__(self, unit_of_work: UnitOfWork, database: Database, mailer: Mailer, settings: Settings) -> None:
        self.unit_of_work, self.database = unit_of_work, database
        self.mailer, self.settings = mailer, settings

    async def invite(self, data: InvitationCreate, by: Principal) -> Invitation:
        email, token = data.email.lower(), new_token(by.tenant)
        async with self.database.transaction() as rehearsal:
            await rehearsal.bind_tenant(by.tenant)
            await self._require_invitable(rehearsal, email, data.role, by)
            tenant = await active_tenant(rehearsal, by.tenant)
        await self._send(email, tenant.name, data.role, token)
        await self._require_invitable(self.unit_of_work, email, data.role, by)
        row = InvitationRow.to(email, data.role, by=by.subject_id, token_hash=digest(token))
        return await InvitationRepository(self.unit_of_work).add(row)

    async def resend(self, invitation_id: UUID, by: Principal) -> Invitation:
        token = new_token(by.tenant)
        async with self.database.transaction() as rehearsal:
            await rehearsal.bind_tenant(by.tenant)
            row = await self._renewable(rehearsal, invitation_id, by)
            tenant = await active_tenant(rehearsal, by.tenant)
        await self._send(row.email, tenant.name, row.role, token)
        row = await self._renewable(self.unit_of_work, invitation_id, by)
        row.send(digest(token))
        return await InvitationRepository(self.unit_of_work).save(row)

    async def _require_invitable(self, unit_of_work: UnitOfWork, email: str, role: str, by: Principal) -> None:
        await require_grantable(unit_of_work, by, role)
        if await MemberRepository(unit_of_work).has_address(email):
            raise AlreadyAMember
        if await InvitationRepository(unit_of_work).has_address(email):
            raise AlreadyInvited

    async def _renewable(self, unit_of_work: UnitOfWork, invitation_id: UUID, by: Principal) -> InvitationRow:
        row = await InvitationRepository(unit_of_work).entity(invitation_id)
        await require_grantable(unit_of_work, by, row.role)
        row.require_pause()
        return row

    async def _send(self, email: str, tenant: str, role: str, token: str) -> None:
        # What follows the # stays in the browser: no server on the way writes it to a log.
        link = f"{self.settings.base_url}/docs#token={token}"
        if not self.settings.is_production:
            _log.info("mail.link", link=link)
        await self.mailer.send(invitation_mail(email, tenant, role, link, f"{self.settings.base_url}{ACCEPT_PATH}"))


def new_token(tenant_id: UUID) -> str:
    """The tenant, so that it can be bound before the look-up, and 256 random bits."""
    return base64.urlsafe_b64encode(tenant_id.bytes + secrets.token_bytes(SECRET_BYTES)).decode()


def tenant_in(token: str) -> UUID | None:
    """None where it is no token of ours by its form."""
    try:
        raw = base64.b64decode(token, altchars=b"-_", validate=True)
    except (ValueError, binascii.Error):
        return None
    return UUID(bytes=raw[:16]) if len(raw) == 16 + SECRET_BYTES else None


def digest(token: str) -> bytes:
    """What is stored of it; random bits need no slow hash."""
    return hashlib.sha256(token.encode()).digest()


def invitation_mail(email: str, tenant: str, role: str, link: str, accept_url: str) -> Mail:
    name = " ".join("".join(character if character.isprintable() else " " for character in tenant).split())
    return Mail(
        email,
        "You are invited to Tenantry",
        f"{name} invites you to join it on Tenantry, with the role {role}.\n\n"
        "Log in with this address; if it has no account yet, sign up with it first. Then send the token at the end\n"
        f"of this link to POST {accept_url}, which the page lets you do:\n\n{link}\n\n"
        f"It can be used once, within {LIFETIME.days} days. If you expected no invitation, ignore this mail.\n",
    )
