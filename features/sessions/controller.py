from uuid import UUID

from litestar import Controller, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from features.sessions.dtos import AccessToken, CsrfToken, Refresh, Sessions, TenantSwitch, TokenPair
from features.sessions.service import SessionService
from tenantry.http.policy import public, signed_in
from tenantry.security.browser import CurrentCarrier
from tenantry.security.principal import CurrentPrincipal
from tenantry.visitor import CurrentVisitor

Service = NamedDependency[SessionService]


class SessionController(Controller):
    path = "/auth"

    @post("/refresh", opt=public("the refresh token is the credential"), status_code=200, summary="Refresh")
    async def refresh(self, data: JSONBody[Refresh | None], sessions: Service, visitor: CurrentVisitor) -> TokenPair:
        """Each refresh token works once. Using one again ends the session, except when its reply was just lost.

        Without a body the token is that of the cookie, and the next one goes into a cookie as well.
        """
        return await sessions.refresh(data.refresh_token if data else None, visitor)

    @get("/csrf", opt=signed_in(confined=True), summary="Get the token against forged requests")
    async def csrf(self, carrier: CurrentCarrier, principal: CurrentPrincipal) -> CsrfToken:
        """For pages whose credential is a cookie: they send it as `X-CSRF-Token` with all but GET."""
        return CsrfToken(carrier.csrf_token(principal.session))

    @post("/switch", opt=signed_in(confined=True), status_code=200, summary="Switch to another tenant")
    async def switch(
        self,
        data: JSONBody[TenantSwitch],
        sessions: Service,
        principal: CurrentPrincipal,
    ) -> AccessToken:
        """An access token for that tenant, in the same session."""
        return await sessions.switch(principal, data.tenant_id)

    @post("/logout", opt=signed_in(confined=True), status_code=204, summary="Log out")
    async def log_out(self, sessions: Service, principal: CurrentPrincipal) -> None:
        """Ends the session: its access and refresh tokens stop working at once."""
        await sessions.log_out(principal)

    @get("/sessions", opt=signed_in(confined=True), summary="List my sessions")
    async def mine(self, sessions: Service, principal: CurrentPrincipal) -> Sessions:
        """Where you are logged in, the last used first; at most 200. A session that is confined to a tenant shows and
        ends only those that are confined to it, too.
        """
        return Sessions(await sessions.live(principal))

    @delete("/sessions/{session_id:uuid}", opt=signed_in(fresh_auth=True, confined=True),
            summary="End one of my sessions")  # fmt: skip
    async def end(self, session_id: FromPath[UUID], sessions: Service, principal: CurrentPrincipal) -> None:
        """Its tokens stop working at once. A thief who found you logged in must not log you out elsewhere."""
        await sessions.end(principal, session_id)

    @delete("/sessions", opt=signed_in(fresh_auth=True, confined=True), summary="End my other sessions")
    async def end_others(self, sessions: Service, principal: CurrentPrincipal) -> None:
        """All but the one that asks."""
        await sessions.end_others(principal)
