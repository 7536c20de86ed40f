from http import HTTPStatus

from tenantry.errors import AppError, Unauthenticated

__all__ = ("InvalidIdToken", "ProofNotFresh", "ProviderRefused", "ProviderUnavailable")


class ProviderUnavailable(AppError):
    status = HTTPStatus.BAD_GATEWAY
    code = "sso_provider_unavailable"
    title = "The identity provider does not answer as it should"


class ProviderRefused(Unauthenticated):
    code = "sso_provider_refused"
    title = "The identity provider does not accept the code; begin again"


class ProofNotFresh(Unauthenticated):
    code = "sso_proof_not_fresh"
    title = "The identity provider does not say that you have logged in there just now"


class InvalidIdToken(Unauthenticated):
    code = "sso_token_invalid"
    title = "What the identity provider says about you cannot be believed"
