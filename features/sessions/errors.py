from tenantry.errors import Forbidden, Unauthenticated


class InvalidRefreshToken(Unauthenticated):
    code = "invalid_refresh_token"
    title = "The refresh token is not valid; log in again"


class TenantNotAvailable(Forbidden):
    code = "tenant_not_available"
    title = "You are not a member of the tenant that you asked for"
