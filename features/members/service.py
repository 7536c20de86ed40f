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
from tenantry.db.session import UnitOfWork
from tenantry.mail import Mailer
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
    """An invitation is kept together with its mail: there is neither without the other."""

    def __init__(self, unit_of_work: UnitOfWork, mailer: Mailer, settings: Settings) -> None:
        self.unit_of_work, self.mailer, self.settings = unit_of_work, mailer, settings
        self.invitations = InvitationRepository(unit_of_work)

    async def invite(self, data: InvitationCreate, by: Principal) -> Invitation:
        email, token = data.email.lower(), new_token(by.tenant)
        await require_grantable(self.unit_of_work, by, data.role)
        if await MemberRepository(self.unit_of_work).has_address(email):
            raise AlreadyAMember
        if await self.invitations.has_address(email):
            raise AlreadyInvited
        row = InvitationRow.to(email, data.role, by=by.subject_id, token_hash=digest(token))
        invitation = await self.invitations.add(row)
        await self._send(email, data.role, token, by)
        return invitation

    async def resend(self, invitation_id: UUID, by: Principal) -> Invitation:
        token = new_token(by.tenant)
        row = await self.invitations.entity(invitation_id)
        await require_grantable(self.unit_of_work, by, row.role)
        row.require_pause()
        row.send(digest(token))
        invitation = await self.invitations.save(row)
        await self._send(row.email, row.role, token, by)
        return invitation

    async def _send(self, email: str, role: str, token: str, by: Principal) -> None:
        tenant = await active_tenant(self.unit_of_work, by.tenant)
        # What follows the # stays in the browser: no server on the way writes it to a log.
        link = f"{self.settings.base_url}/docs#token={token}"
        if not self.settings.is_production:
            _log.info("mail.link", link=link)
        accept_url, days = f"{self.settings.base_url}{ACCEPT_PATH}", LIFETIME.days
        mail = self.mailer.write(
            "invitation", email, tenant=tenant.name, role=role, link=link, accept_url=accept_url, days=days
        )
        await self.mailer.send(mail, self.unit_of_work)


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
