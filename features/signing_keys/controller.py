from litestar import Controller, Response, get
from litestar.di import NamedDependency

from features.signing_keys.dtos import KeySet
from tenantry.http.policy import public
from tenantry.security.tokens import TokenService

CACHEABLE = {"Cache-Control": "public, max-age=300"}


class SigningKeyController(Controller):
    path = "/.well-known"

    @get(
        "/jwks.json",
        opt=public("public keys are for everybody"),
        operation_id="signing_keys.list",
        summary="Keys that check our tokens",
    )
    async def keys(self, tokens: NamedDependency[TokenService]) -> Response[KeySet]:
        """As a JSON Web Key Set: also such as will sign soon, and such as have signed tokens that are still good."""
        return Response(KeySet([key.jwk for key in tokens.keys.verifying()]), headers=CACHEABLE)
