from uuid import UUID

from litestar import Controller, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from features.members.dtos import Invitation, InvitationAcceptance, InvitationCreate, Member, MemberPatch
from features.members.permissions import READ, TRANSFER, WRITE
from features.members.repository import InvitationRepository, MemberRepository
from features.members.service import AcceptanceService, InvitationService, MemberService
from features.tenants.api import Membership
from tenantry.db.page import Page
from tenantry.http.page import PageQuery, lists
from tenantry.http.policy import allow, signed_in
from tenantry.security.principal import CurrentPrincipal

Members = NamedDependency[MemberRepository]
Membering = NamedDependency[MemberService]
Invitations = NamedDependency[InvitationRepository]
Inviting = NamedDependency[InvitationService]
Accepting = NamedDependency[AcceptanceService]


class MemberController(Controller):
    path = "/members"

    @get(opt=allow(READ) | lists(MemberRepository), summary="List members")
    async def list(self, members: Members, page: PageQuery) -> Page[Member]:
        """The people of the tenant; service accounts have a list of their own."""
        return await members.page(page)

    @get("/{user_id:uuid}", opt=allow(READ), summary="Get a member")
    async def get(self, user_id: FromPath[UUID], members: Members) -> Member:
        return await members.get(user_id)

    @patch("/{user_id:uuid}", opt=allow(WRITE, audit="member.role_changed"), summary="Change a member's role")
    async def change(
        self, user_id: FromPath[UUID], data: JSONBody[MemberPatch], membering: Membering, principal: CurrentPrincipal
    ) -> Member:
        """Nobody gives or takes a role that includes what they do not hold. The last owner stays one."""
        return await membering.change_role(user_id, data.role, principal)

    @delete("/{user_id:uuid}", opt=allow(WRITE, audit="member.removed"), summary="Remove a member")
    async def remove(self, user_id: FromPath[UUID], membering: Membering, principal: CurrentPrincipal) -> None:
        """Their API keys of this tenant end as well."""
        await membering.remove(user_id, principal)

    @delete("/me", opt=signed_in(audit="member.left"), summary="Leave the active tenant")
    async def leave(self, membering: Membering, principal: CurrentPrincipal) -> None:
        """Whatever your role, except for the last owner. Your API keys of this tenant end as well."""
        await membering.leave(principal)

    @post("/{user_id:uuid}/transfer-ownership", opt=allow(TRANSFER, audit="tenant.transferred", fresh_auth=True),
          status_code=200, summary="Hand the tenant over")  # fmt: skip
    async def transfer(self, user_id: FromPath[UUID], membering: Membering, principal: CurrentPrincipal) -> Member:
        """They become an owner, and you an admin. Prove again who you are before."""
        return await membering.transfer_ownership(user_id, principal)


class InvitationController(Controller):
    path = "/invitations"

    @get(opt=allow(READ) | lists(InvitationRepository), summary="List invitations")
    async def list(self, invitations: Invitations, page: PageQuery) -> Page[Invitation]:
        """Those that nobody has accepted, expired ones as well."""
        return await invitations.page(page)

    @post(opt=allow(WRITE, audit="invitation.sent", idempotent=True), summary="Invite somebody")
    async def invite(
        self, data: JSONBody[InvitationCreate], inviting: Inviting, principal: CurrentPrincipal
    ) -> Invitation:
        """To a role that you could give them. It stands until it is accepted or withdrawn, whatever becomes of you."""
        return await inviting.invite(data, principal)

    @post("/{invitation_id:uuid}/resend", opt=allow(WRITE, audit="invitation.resent"), status_code=200,
          summary="Send an invitation again")  # fmt: skip
    async def resend(
        self, invitation_id: FromPath[UUID], inviting: Inviting, principal: CurrentPrincipal
    ) -> Invitation:
        """With a new token and a new expiry; the token before is good for nothing. At most once a minute."""
        return await inviting.resend(invitation_id, principal)

    @delete("/{invitation_id:uuid}", opt=allow(WRITE, audit="invitation.withdrawn"), summary="Withdraw an invitation")
    async def withdraw(self, invitation_id: FromPath[UUID], invitations: Invitations) -> None:
        await invitations.remove(invitation_id)

    @post(
        "/accept",
        opt=signed_in(audit="invitation.accepted", idempotent=True),
        status_code=200,
        summary="Accept an invitation",
    )
    async def accept(
        self, data: JSONBody[InvitationAcceptance], accepting: Accepting, principal: CurrentPrincipal
    ) -> Membership:
        """Only with an account of the invited address. Use `POST /auth/switch` to get a token for the tenant.

        The role is the one that you were invited to, under the name and with the permissions that it has by now.
        """
        return await accepting.accept(data.token, principal)
