from typing import ClassVar

from tenantry.errors import BadRequest, Unauthenticated


class InvalidCredentials(Unauthenticated):
    code = "invalid_credentials"
    title = "E-mail and password do not match an account whose address is confirmed"


class SecondFactorRequired(Unauthenticated):
    """Members of the problem: `challenge`, which the second step has to present, and how long it is good for."""

    code = "second_factor_required"
    title = "The password is right; a second factor is needed as well"

    def __init__(self, challenge: str, *, seconds: int) -> None:
        super().__init__(challenge=challenge, expires_in=seconds)


class InvalidChallenge(Unauthenticated):
    code = "invalid_challenge"
    title = "The log-in is not valid or took too long; begin again"


class OAuthError(BadRequest):
    """RFC 6749 section 5.2: OAuth clients read the member `error`, the code where no other is given."""

    error: ClassVar[str | None] = None

    def __init__(self, description: str | None = None) -> None:
        told = description or self.title
        super().__init__(told, error=self.error or self.code, error_description=told)


class InvalidGrant(OAuthError):
    code = "invalid_grant"
    title = "The grant was refused"


class InvalidTokenRequest(OAuthError):
    code = "invalid_request"
    title = "The request for a token contradicts itself"


class InvalidGrantProof(OAuthError):
    code = "invalid_grant_proof"
    title = "The DPoP proof that came with the grant is not valid"
    error = "invalid_dpop_proof"


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
