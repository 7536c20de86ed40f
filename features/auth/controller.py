import base64
from typing import Annotated
from urllib.parse import unquote_plus

from litestar import Controller, Request, post
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.enums import RequestEncodingType
from litestar.params import Body, JSONBody

from features.auth.dtos import ClientToken, Login, Reauthentication, TokenForm
from features.auth.errors import (
    InvalidClient,
    InvalidCredentials,
    InvalidGrant,
    InvalidGrantProof,
    InvalidScope,
    InvalidTokenRequest,
    SecondFactorRequired,
)
from features.auth.service import ClientService, LoginService
from features.sessions.api import AccessToken, InvalidRefreshToken, SessionService, TokenPair
from tenantry.errors import Forbidden, Unauthenticated
from tenantry.http.policy import public, signed_in
from tenantry.security.possession import InvalidProof
from tenantry.security.principal import CurrentPrincipal
from tenantry.visitor import CurrentVisitor, Visitor

FormBody = Body(media_type=RequestEncodingType.URL_ENCODED)
Logins = NamedDependency[LoginService]
Sessions = NamedDependency[SessionService]
Clients = NamedDependency[ClientService]


class AuthController(Controller):
    path = "/auth"

    @post("/login", opt=public("how a session begins"), status_code=200, summary="Log in")
    async def log_in(self, data: JSONBody[Login], logins: Logins, visitor: CurrentVisitor) -> TokenPair:
        """`tenant_id` is the one asked for, else the last used, else the only one, else null.

        Of an account with a second factor the answer is 401 `second_factor_required` with a `challenge`.
        """
        return await logins.log_in(data, visitor)

    @post("/reauthenticate", opt=signed_in(confined=True), status_code=200, summary="Prove again who you are")
    async def prove_again(
        self, data: JSONBody[Reauthentication], logins: Logins, principal: CurrentPrincipal, visitor: CurrentVisitor
    ) -> AccessToken:
        """For what asks for a fresh log-in: an access token in the same session, with the time of now."""
        return await logins.prove_again(principal, data.password, visitor)

    @post("/token", opt=public("how a session begins"), status_code=200, summary="Log in (OAuth 2.0 form)")
    async def token(
        self,
        data: Annotated[TokenForm, FormBody],
        logins: Logins,
        sessions: Sessions,
        clients: Clients,
        visitor: CurrentVisitor,
        request: Request[None, None, State],
    ) -> TokenPair | ClientToken:
        """The grants `password`, which the Authorize button uses, `refresh_token`, and `client_credentials`: id and
        API key of a service account, in the form or by HTTP Basic.
        """
        try:
            if data.grant_type == "client_credentials":
                return await client_token(data, request.headers.getall("authorization", []), clients, visitor)
            if data.grant_type == "refresh_token":
                return await sessions.refresh(data.refresh_token or "", visitor)
            return await logins.log_in(Login(data.username or "", data.password or ""), visitor)
        except InvalidProof as error:
            raise InvalidGrantProof(error.detail) from error
        except (InvalidCredentials, InvalidRefreshToken, SecondFactorRequired) as error:
            raise InvalidGrant(error.title) from error


async def client_token(form: TokenForm, headers: list[str], clients: ClientService, visitor: Visitor) -> ClientToken:
    """RFC 6749 section 4.4. What is not good about a client is its `invalid_client`, and the description says what."""
    schemes = [header.partition(" ") for header in headers]
    basic = [credential.strip() for scheme, _, credential in schemes if scheme.lower() == "basic"]
    if form.scope:
        raise InvalidScope
    if len(basic) > 1 or (basic and form.client_secret is not None):
        raise InvalidTokenRequest("Send the client's credentials once.")
    client_id, secret = credentials_of(basic[0]) if basic else (form.client_id or "", form.client_secret or "")
    if form.client_id not in (None, client_id):
        raise InvalidTokenRequest("The form names another client than the header.")
    try:
        return await clients.token(client_id, secret, visitor)
    except InvalidProof:
        raise
    except (Unauthenticated, Forbidden) as error:
        raise InvalidClient(error.title, is_basic=bool(basic)) from error


def credentials_of(basic: str) -> tuple[str, str]:
    """RFC 6749 section 2.3.1: both are encoded as in a form, so that each can have a colon."""
    try:
        client_id, _, secret = base64.b64decode(basic, validate=True).decode().partition(":")
    except ValueError as error:
        raise InvalidClient(is_basic=True) from error
    return unquote_plus(client_id), unquote_plus(secret)
