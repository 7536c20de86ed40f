from features.members.controller import InvitationController, MemberController
from features.members.repository import InvitationRepository, MemberRepository
from features.members.service import AcceptanceService, InvitationService, MemberService
from tenantry.feature import Feature

feature = Feature(
    "members",
    controllers=[MemberController, InvitationController],
    provides={
        "members": MemberRepository,
        "membering": MemberService,
        "invitations": InvitationRepository,
        "inviting": InvitationService,
        "accepting": AcceptanceService,
    },
)
