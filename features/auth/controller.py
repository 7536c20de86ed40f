import base64
from html import escape
from typing import Annotated
from urllib.parse import unquote_plus

from litestar import Controller, MediaType, Request, get, post
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.enums import RequestEncodingType
from litestar.params import Body, JSONBody, QueryParameter

from features.auth.dtos import (
    Accepted,
    AccessToken,
    ClientToken,
    EmailVerification,
    Login,
    Me,
    Refresh,
    SignUp,
    TenantSwitch,
    TokenForm,
    TokenPair,
    VerificationResend,
)
from features.auth.errors import (
    InvalidClient,
    InvalidCredentials,
    InvalidGrant,
    InvalidRefreshToken,
    InvalidScope,
    InvalidTokenRequest,
)
from features.auth.repository import UserRepository
from features.auth.service import AccountService, ClientService, SessionService
from tenantry.errors import Forbidden, Unauthenticated
from tenantry.http.policy import public, signed_in
from tenantry.security.principal import CurrentPrincipal

FormBody = Body(media_type=RequestEncodingType.URL_ENCODED)
Token = Annotated[str, QueryParameter(max_length=512)]
PAGE = "<!doctype html><html lang=en><meta charset=utf-8><title>Tenantry</title>"
Accounts = NamedDependency[AccountService]
Sessions = NamedDependency[SessionService]
Clients = NamedDependency[ClientService]
Users = NamedDependency[UserRepository]


class AuthController(Controller):
    path = "/auth"

    @post("/signup", opt=public("how an account begins"), status_code=202, summary="Sign up")
    async def sign_up(self, data: JSONBody[SignUp], accounts: Accounts) -> Accepted:
        """Sends a link to confirm the address. The answer does not tell whether it is registered already."""
        await accounts.sign_up(data)
        return Accepted()

    @post("/email/resend", opt=public("before there is an account"), status_code=202, summary="Send the link again")
    async def resend(self, data: JSONBody[VerificationResend], accounts: Accounts) -> Accepted:
        """At most once a minute for an address."""
        await accounts.resend(data.email)
        return Accepted()

    @get("/email/verify", opt=public("the link in the mail"), media_type=MediaType.HTML, include_in_schema=False)
    async def confirmation_page(self, token: Token) -> str:
        """A page with one button: programs that look at links in mails must not confirm addresses."""
        return (
            f"{PAGE}<h1>Confirm your e-mail address</h1><form method=post action=/api/v1/auth/email/confirm>"
            f'<input type=hidden name=token value="{escape(token)}"><button>Confirm</button></form>'
        )

    @post("/email/confirm", opt=public("the button on the page"), media_type=MediaType.HTML, status_code=200,
          include_in_schema=False)  # fmt: skip
    async def confirm(self, data: Annotated[EmailVerification, FormBody], accounts: Accounts) -> str:
        await accounts.verify(data.token)
        return f"{PAGE}<h1>Your address is confirmed</h1><p>You can log in now.</p>"

    @post("/email/verify", opt=public("the link in the mail"), status_code=204, summary="Confirm an address")
    async def verify(self, data: JSONBody[EmailVerification], accounts: Accounts) -> None:
        await accounts.verify(data.token)

    @post("/login", opt=public("how a session begins"), status_code=200, summary="Log in")
    async def log_in(self, data: JSONBody[Login], sessions: Sessions, request: Request[None, None, State]) -> TokenPair:
        """`tenant_id` is the one asked for, else the last used, else the only one, else null."""
        return await sessions.log_in(data, request.headers.get("user-agent", ""))

    @post("/token", opt=public("how a session begins"), status_code=200, summary="Log in (OAuth 2.0 form)")
    async def token(
        self,
        data: Annotated[TokenForm, FormBody],
        sessions: Sessions,
        clients: Clients,
        request: Request[None, None, State],
    ) -> TokenPair | ClientToken:
        """The grants `password`, which the Authorize button uses, `refresh_token`, and `client_credentials`: id and
        API key of a service account, in the form or by HTTP Basic.
        """
        if data.grant_type == "client_credentials":
            return await client_token(data, request.headers.getall("authorization", []), clients)
        try:
            if data.grant_type == "refresh_token":
                return await sessions.refresh(data.refresh_token or "")
            login = Login(data.username or "", data.password or "")
            return await sessions.log_in(login, request.headers.get("user-agent", ""))
        except (InvalidCredentials, InvalidRefreshToken) as error:
            raise InvalidGrant(error.title) from error

    @post("/refresh", opt=public("the refresh token is the credential"), status_code=200, summary="Refresh")
    async def refresh(self, data: JSONBody[Refresh], sessions: Sessions) -> TokenPair:
        """Each refresh token works once. Using one again ends the session, except when its reply was just lost."""
        return await sessions.refresh(data.refresh_token)

    @post("/switch", opt=signed_in(), status_code=200, summary="Switch to another tenant")
    async def switch(
        self,
        data: JSONBody[TenantSwitch],
        sessions: Sessions,
        principal: CurrentPrincipal,
    ) -> AccessToken:
        """An access token for that tenant, in the same session."""
        return await sessions.switch(principal, data.tenant_id)

    @post("/logout", opt=signed_in(), status_code=204, summary="Log out")
    async def log_out(self, sessions: Sessions, principal: CurrentPrincipal) -> None:
        """Ends the session: its access and refresh tokens stop working at once."""
        await sessions.log_out(principal)


class MeController(Controller):
    path = "/me"

    @get(opt=signed_in(), summary="Who am I")
    async def me(self, users: Users, principal: CurrentPrincipal) -> Me:
        return await users.get(principal.subject_id)


async def client_token(form: TokenForm, headers: list[str], clients: ClientService) -> ClientToken:
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
        return await clients.token(client_id, secret)
    except (Unauthenticated, Forbidden) as error:
        raise InvalidClient(error.title, is_basic=bool(basic)) from error


def credentials_of(basic: str) -> tuple[str, str]:
    """RFC 6749 section 2.3.1: both are encoded as in a form, so that each can have a colon."""
    try:
        client_id, _, secret = base64.b64decode(basic, validate=True).decode().partition(":")
    except ValueError as error:
        raise InvalidClient(is_basic=True) from error
    return unquote_plus(client_id), unquote_plus(secret)
