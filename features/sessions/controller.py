from litestar import Controller, post
from litestar.di import NamedDependency
from litestar.params import JSONBody

from features.sessions.dtos import AccessToken, Refresh, TenantSwitch, TokenPair
from features.sessions.service import SessionService
from tenantry.http.policy import public, signed_in
from tenantry.security.principal import CurrentPrincipal

Sessions = NamedDependency[SessionService]


class SessionController(Controller):
    path = "/auth"

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
