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


class OAuthError(BadRequest):
    """RFC 6749 section 5.2: OAuth clients read the member `error`."""

    def __init__(self, description: str | None = None) -> None:
        told = description or self.title
        super().__init__(told, error=self.code, error_description=told)


class InvalidGrant(OAuthError):
    code = "invalid_grant"
    title = "The grant was refused"


class InvalidTokenRequest(OAuthError):
    code = "invalid_request"
    title = "The request for a token contradicts itself"


class InvalidScope(OAuthError):
    code = "invalid_scope"
    title = "A token has all scopes of its API key; leave `scope` out"


class InvalidClient(Unauthenticated):
    code = "invalid_client"
    title = "The client is no service account with this API key"

    def __init__(self, description: str | None = None, *, is_basic: bool) -> None:
        told = description or self.title
        super().__init__(told, error=self.code, error_description=told)
        if is_basic:
            self.headers = {"WWW-Authenticate": 'Basic realm="tenantry"'}
