from tenantry.errors import Conflict, NotFound, Unauthenticated


class InvalidCode(Unauthenticated):
    """Whether it was wrong, or was not even looked at because there were too many, nobody learns from the answer."""

    code = "invalid_code"
    title = "The code is not right or was used already, or there were too many attempts"


class SecondFactorProofRequired(Unauthenticated):
    code = "second_factor_proof_required"
    title = "Prove again who you are, with your second factor, before you change your factors"


class TotpEnrolled(Conflict):
    code = "totp_enrolled"
    title = "You have an authenticator app already; remove it first"


class TotpNotFound(NotFound):
    code = "totp_not_found"
    title = "There is no authenticator app, or its enrolment took too long"


class NoSecondFactor(Conflict):
    code = "no_second_factor"
    title = "Recovery codes stand in for a second factor, and you have none"


class AccountNotFound(NotFound):
    code = "account_not_found"
    title = "There is no account with this address"
