from uuid import UUID

from litestar import Controller, delete, get
from litestar.di import NamedDependency
from litestar.params import FromPath

from features.identities.dtos import Identity
from features.identities.repository import IdentityRepository
from features.sessions.api import SessionService
from tenantry.http.options import EndsOthers
from tenantry.http.policy import signed_in
from tenantry.security.principal import CurrentPrincipal

Sessions = NamedDependency[SessionService]
Identities = NamedDependency[IdentityRepository]


class IdentityController(Controller):
    path = "/me/identities"

    @get(opt=signed_in(), summary="List my identities at providers")
    async def list(self, identities: Identities, principal: CurrentPrincipal) -> list[Identity]:
        return await identities.of(principal.subject_id)

    @delete(
        "/{identity_id:uuid}",
        opt=signed_in(audit="identity.unlinked", fresh_auth=True),
        summary="Unlink an identity",
    )
    async def unlink(
        self,
        identity_id: FromPath[UUID],
        identities: Identities,
        sessions: Sessions,
        principal: CurrentPrincipal,
        ends_others: EndsOthers = False,
    ) -> None:
        """It can no longer be used to log in; sessions that it has opened go on, unless they are to end."""
        await identities.unlink(principal.subject_id, identity_id)
        if ends_others:
            await sessions.end_others(principal)
