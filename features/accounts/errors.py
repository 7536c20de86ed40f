from tenantry.errors import BadRequest, Conflict, NotFound


class InvalidVerification(BadRequest):
    """Also where two confirm one address at the same moment: the later one is too late."""

    code = "invalid_verification"
    title = "The link is not valid, has expired or was used already"
    constraint = "uq_users_email"


class AccountNotFound(NotFound):
    code = "account_not_found"
    title = "Nobody has an account with this address"


class AccountIsDeleted(Conflict):
    code = "account_deleted"
    title = "This account is deleted, and nothing is left of it"


class AddressTaken(Conflict):
    code = "address_taken"
    title = "Somebody has an account with this address already"
