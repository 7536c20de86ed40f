from tenantry.errors import BadRequest, Forbidden, Unauthenticated


class InvalidCredentials(Unauthenticated):
    code = "invalid_credentials"
    title = "E-mail and password do not match an account whose address is confirmed"


class InvalidVerification(BadRequest):
    code = "invalid_verification"
    title = "The link is not valid, has expired or was used already"


class InvalidRefreshToken(Unauthenticated):
    code = "invalid_refresh_token"
    title = "The refresh token is not valid; log in again"


class TenantNotAvailable(Forbidden):
    code = "tenant_not_available"
    title = "You are not a member of the tenant that you asked for"


class InvalidGrant(BadRequest):
    """RFC 6749 section 5.2: OAuth clients read the member `error`."""

    code = "invalid_grant"
    title = "The grant was refused"

    def __init__(self, description: str) -> None:
        super().__init__(description, error="invalid_grant", error_description=description)
