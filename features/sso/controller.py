from typing import Annotated
from uuid import UUID

from litestar import Controller, Response, get, post
from litestar.datastructures import Cookie
from litestar.di import NamedDependency
from litestar.params import CookieParameter, FromQuery, JSONBody, QueryParameter
from litestar.response import Redirect

from features.identities.api import ArrivalService, Identity
from features.sessions.api import AccessToken, SessionService, TokenPair
from features.sso.dtos import Answer, Authorization, Completion, Destination, LinkStart, ProofStart
from features.sso.service import AT_PROVIDER, FlowService
from tenantry.http.policy import public, signed_in
from tenantry.security.principal import CurrentPrincipal
from tenantry.security.secrets import new_secret
from tenantry.visitor import CurrentVisitor

COOKIE = "__Host-tenantry-sso"
Browser = Annotated[str | None, CookieParameter(name=COOKIE, max_length=512)]
Flows = NamedDependency[FlowService]
Arrivals = NamedDependency[ArrivalService]
Sessions = NamedDependency[SessionService]


class SsoController(Controller):
    path = "/auth/sso"

    @get("/start", opt=public("how a session begins"), status_code=302, summary="Log in by an identity provider")
    async def start(
        self,
        flows: Flows,
        visitor: CurrentVisitor,
        browser: Browser = None,
        tenant_id: FromQuery[UUID | None] = None,
        connection_id: FromQuery[UUID | None] = None,
        email: Annotated[str | None, QueryParameter(max_length=254)] = None,
        return_to: Annotated[str | None, QueryParameter(max_length=2000)] = None,
        code_challenge: Annotated[str | None, QueryParameter(pattern=r"^[A-Za-z0-9_-]{43}$(?!\n)")] = None,
    ) -> Redirect:
        """Sends the browser to the provider of a connection (`tenant_id` and `connection_id`), to that of the domain of
        `email`, or else to the operator's.

        In the end the browser comes to `return_to`, one of `TENANTRY_SSO_RETURN_URLS`, with `sso_code`, which is good
        for a minute at `POST /auth/sso/complete`, or with `sso_error`. Who keeps no cookies gives a `code_challenge`.
        """
        to = Destination(tenant_id, connection_id, return_to, code_challenge)
        browser = browser or new_secret()
        url = await flows.begin(await flows.resolved(to, email, visitor), browser)
        return Redirect(url, status_code=302, cookies=[cookie_of(browser)], headers=UNSTORED)

    @get("/callback", opt=public("an identity provider sends people here"), status_code=302, include_in_schema=False)
    async def receive(
        self,
        flows: Flows,
        given_state: Annotated[str, QueryParameter(name="state", max_length=512)],
        browser: Browser = None,
        code: Annotated[str | None, QueryParameter(max_length=4096)] = None,
        error: Annotated[str | None, QueryParameter(max_length=512)] = None,
        iss: Annotated[str | None, QueryParameter(max_length=512)] = None,
    ) -> Redirect:
        url = await flows.receive(given_state, browser or "", Answer(code, error, iss))
        return Redirect(url, status_code=302, headers=UNSTORED)

    @post("/complete", opt=public("how a session begins"), status_code=200, summary="Finish a log-in by a provider")
    async def complete(
        self,
        data: JSONBody[Completion],
        flows: Flows,
        arrivals: Arrivals,
        visitor: CurrentVisitor,
        browser: Browser = None,
    ) -> TokenPair:
        """With the `sso_code`, from the browser that began, or with the `code_verifier` of its `code_challenge`.

        By a tenant's connection, the session is good for that tenant only. Somebody who comes for the first time, with
        a verified address of a confirmed domain, gets an account. 409 `account_exists`: log in and link the identity.
        """
        claims, connection = await flows.claims(data.code, data.code_verifier, browser or "")
        return await arrivals.log_in(claims, connection, visitor)


class LinkController(Controller):
    path = "/me/identities/link"

    @post(opt=signed_in(fresh_auth=True), status_code=200, summary="Begin to link an identity")
    async def begin(
        self, data: JSONBody[LinkStart], flows: Flows, principal: CurrentPrincipal, browser: Browser = None
    ) -> Response[Authorization]:
        """Send the browser to `authorization_url`; it comes back to `return_to` with an `sso_code`."""
        tenant_id = principal.tenant_id if data.connection_id is not None else None
        to = Destination(tenant_id, data.connection_id, data.return_to, None)
        browser = browser or new_secret()
        return sent(await flows.begin(to, browser, principal.session), browser)

    @post("/complete", opt=signed_in(audit="identity.linked", fresh_auth=True), summary="Link an identity")
    async def link(
        self,
        data: JSONBody[Completion],
        flows: Flows,
        arrivals: Arrivals,
        principal: CurrentPrincipal,
        browser: Browser = None,
    ) -> Identity:
        """In the session and the browser that began. Its address must be verified there, and that of the account."""
        claims, _ = await flows.claims(data.code, data.code_verifier, browser or "", principal.session)
        return await arrivals.link(claims, principal)


class ReauthenticationController(Controller):
    path = "/auth/sso/reauthenticate"

    @post(opt=signed_in(confined=True), status_code=200, summary="Begin to prove again by a provider who you are")
    async def begin_proof(
        self,
        data: JSONBody[ProofStart],
        flows: Flows,
        sessions: Sessions,
        principal: CurrentPrincipal,
        browser: Browser = None,
    ) -> Response[Authorization]:
        """For what asks for a fresh log-in, of people without a password: the provider asks them to log in anew.

        It is that of the connection by which the session was opened, else the operator's. Send the browser to
        `authorization_url`; it comes back to `return_to` with an `sso_code`.
        """
        origin = await sessions.origin(principal)
        to = Destination(origin.only_tenant_id, origin.connection_id, data.return_to, None)
        browser = browser or new_secret()
        return sent(await flows.begin(to, browser, principal.session, anew=True), browser)

    @post("/complete", opt=signed_in(confined=True), status_code=200, summary="Prove again by a provider who you are")
    async def prove_again(
        self,
        data: JSONBody[Completion],
        flows: Flows,
        arrivals: Arrivals,
        principal: CurrentPrincipal,
        browser: Browser = None,
    ) -> AccessToken:
        """In the session and the browser that began: an access token in that session, with the time of the log-in at
        the provider. Of an account with a second factor the answer may be 401 `second_factor_required`.
        """
        claims, connection = await flows.claims(
            data.code, data.code_verifier, browser or "", principal.session, anew=True
        )
        return await arrivals.prove_again(claims, connection, principal)


UNSTORED = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}


def sent(url: str, browser: str) -> Response[Authorization]:
    return Response(Authorization(url), status_code=200, cookies=[cookie_of(browser)], headers=UNSTORED)


def cookie_of(browser: str) -> Cookie:
    """Sent along when the provider sends the browser back, so it cannot be `Strict`."""
    lasts = int(AT_PROVIDER.total_seconds())
    return Cookie(COOKIE, value=browser, path="/", max_age=lasts, secure=True, httponly=True, samesite="lax")
