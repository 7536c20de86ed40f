from uuid import UUID

from litestar import Controller, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from features.sso_connections.dtos import Connection, ConnectionCreate, ConnectionPatch
from features.sso_connections.permissions import READ, WRITE
from features.sso_connections.repository import ConnectionRepository
from features.sso_connections.service import ConnectionService
from tenantry.db.page import Page
from tenantry.http.page import PageQuery, lists
from tenantry.http.policy import allow
from tenantry.security.principal import CurrentPrincipal

Connections = NamedDependency[ConnectionService]


class ConnectionController(Controller):
    path = "/sso/connections"

    @get(opt=allow(READ) | lists(ConnectionRepository), summary="List connections to identity providers")
    async def list(self, connections: Connections, page: PageQuery, principal: CurrentPrincipal) -> Page[Connection]:
        return await connections.list(page, principal.tenant)

    @post(
        opt=allow(WRITE, audit="sso-connection.created", fresh_auth=True),
        summary="Connect an identity provider",
    )
    async def create(
        self, data: JSONBody[ConnectionCreate], connections: Connections, principal: CurrentPrincipal
    ) -> Connection:
        """It has to know this service by the redirect address `/api/v1/auth/sso/callback`.

        Addresses of a domain lead to it once the operator has confirmed that the domain is the tenant's.
        """
        return await connections.create(data, principal)

    @get("/{connection_id:uuid}", opt=allow(READ), summary="Get a connection")
    async def get(
        self, connection_id: FromPath[UUID], connections: Connections, principal: CurrentPrincipal
    ) -> Connection:
        return await connections.get(connection_id, principal.tenant)

    @patch(
        "/{connection_id:uuid}",
        opt=allow(WRITE, audit="sso-connection.changed", fresh_auth=True),
        summary="Change a connection",
    )
    async def change(
        self,
        connection_id: FromPath[UUID],
        data: JSONBody[ConnectionPatch],
        connections: Connections,
        principal: CurrentPrincipal,
    ) -> Connection:
        """Fields that are left out stay as they are, the secret too. `required` shuts out all sessions of others."""
        return await connections.change(connection_id, data, principal)

    @delete(
        "/{connection_id:uuid}",
        opt=allow(WRITE, audit="sso-connection.deleted", fresh_auth=True),
        summary="Delete a connection",
    )
    async def delete(
        self, connection_id: FromPath[UUID], connections: Connections, principal: CurrentPrincipal
    ) -> None:
        """Sessions that were opened by it end at once."""
        await connections.delete(connection_id, principal.tenant)
