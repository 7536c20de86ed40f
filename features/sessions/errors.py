from tenantry.errors import Forbidden, NotFound, Unauthenticated


class InvalidRefreshToken(Unauthenticated):
    code = "invalid_refresh_token"
    title = "The refresh token is not valid; log in again"


class SessionNotFound(NotFound):
    code = "session_not_found"
    title = "You have no such session, or it has ended"


class TenantNotAvailable(Forbidden):
    code = "tenant_not_available"
    title = "You are not a member of the tenant that you asked for"
