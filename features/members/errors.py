from http import HTTPStatus

from tenantry.errors import AppError, Conflict, Forbidden, NotFound


class NothingToLeave(Conflict):
    code = "nothing_to_leave"
    title = "The credential is for no tenant that could be left"


class NotAnOwner(Forbidden):
    code = "not_an_owner"
    title = "Only an owner can hand the tenant over"


class TransferToYourself(Conflict):
    code = "transfer_to_yourself"
    title = "You are an owner of this tenant already"


class InvitationNotFound(NotFound):
    code = "invitation_not_found"
    title = "There is no such invitation"


class AlreadyInvited(Conflict):
    code = "already_invited"
    title = "This address is invited already; send the invitation again, or withdraw it"
    constraint = "uq_invitations_tenant_id_email"


class InvalidInvitation(NotFound):
    code = "invalid_invitation"
    title = "The invitation is not valid, has expired, was withdrawn or was accepted already"


class InvitationForAnotherAddress(Forbidden):
    code = "invitation_for_another_address"
    title = "The invitation is for another address than that of your account"


class InvitedJustNow(AppError):
    status = HTTPStatus.TOO_MANY_REQUESTS
    code = "invited_just_now"
    title = "The invitation was sent a moment ago"

    def __init__(self, retry_after: int) -> None:
        super().__init__(headers={"Retry-After": str(retry_after)})
