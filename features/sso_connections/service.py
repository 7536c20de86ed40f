from collections.abc import Sequence
from uuid import UUID

from msgspec import UNSET
from msgspec.structs import asdict

from features.roles.api import require_grantable
from features.sessions.api import end_sessions_through
from features.sso_connections.dtos import (
    Connection,
    ConnectionCreate,
    ConnectionPatch,
    KnownConnection,
    StoredConnection,
)
from features.sso_connections.errors import DomainTaken, InsecureIssuer
from features.sso_connections.models import PURPOSE, ConnectionRow
from features.sso_connections.repository import ConnectionRepository, DomainRepository
from features.tenants.api import require_connection, required_connection
from tenantry.config import Settings
from tenantry.db.page import Page, PageRequest
from tenantry.db.session import UnitOfWork
from tenantry.feature import API_PREFIX
from tenantry.ids import new_id
from tenantry.oidc.client import with_query
from tenantry.security.principal import Principal
from tenantry.security.vault import Vault


class ConnectionService:
    """A connection, the domains that lead to it, and whether its tenant lets people in without it."""

    def __init__(self, unit_of_work: UnitOfWork, vault: Vault, settings: Settings) -> None:
        self.unit_of_work, self.vault, self.settings = unit_of_work, vault, settings
        self.connections = ConnectionRepository(unit_of_work)

    async def list(self, page: PageRequest, tenant_id: UUID) -> Page[Connection]:
        found = await self.connections.page(page)
        return Page([*await self._complete(found.items, tenant_id)], found.next_cursor, found.total)

    async def get(self, id: UUID, tenant_id: UUID) -> Connection:
        return (await self._complete([await self.connections.get(id)], tenant_id))[0]

    async def create(self, data: ConnectionCreate, by: Principal) -> Connection:
        await require_grantable(self.unit_of_work, by, data.default_role, field="default_role")
        await self._require_free(data.domains)
        row = ConnectionRow(id=new_id(), name=data.name, client_id=data.client_id, domains=sorted(set(data.domains)))
        row.issuer = self._safe(data.issuer)
        row.client_secret = self.vault.seal(data.client_secret.encode(), purpose=PURPOSE, owner=row.id.bytes)
        row.assume(data.default_role)
        stored = await self.connections.add(row)
        if data.required:
            await require_connection(self.unit_of_work, by.tenant, stored.id)
        return (await self._complete([stored], by.tenant))[0]

    async def change(self, id: UUID, patch: ConnectionPatch, by: Principal) -> Connection:
        row = await self.connections.entity(id)
        if patch.default_role is not UNSET:
            await require_grantable(self.unit_of_work, by, patch.default_role, field="default_role")
            row.assume(patch.default_role)
        if patch.domains is not UNSET:
            await self._require_free(patch.domains, but=id)
            row.domains = sorted(set(patch.domains))
        if patch.issuer is not UNSET:
            row.issuer = self._safe(patch.issuer)
        if patch.client_secret is not UNSET:
            row.client_secret = self.vault.seal(patch.client_secret.encode(), purpose=PURPOSE, owner=id.bytes)
        row.name = row.name if patch.name is UNSET else patch.name
        row.client_id = row.client_id if patch.client_id is UNSET else patch.client_id
        stored = await self.connections.save(row)
        await self._require(id, patch, by.tenant)
        return (await self._complete([stored], by.tenant))[0]

    async def delete(self, id: UUID, tenant_id: UUID) -> None:
        """Sessions that were opened by it end, and who must log in by it no longer has to."""
        await self.connections.entity(id)
        if await required_connection(self.unit_of_work, tenant_id) == id:
            await require_connection(self.unit_of_work, tenant_id, None)
        await end_sessions_through(self.unit_of_work, id, "connection_deleted")
        await self.connections.remove(id)

    async def known(self, id: UUID, tenant_id: UUID) -> KnownConnection:
        """Of the tenant that is bound."""
        stored = await self.connections.get(id)
        secret = self.vault.open(await self.connections.secret(id), purpose=PURPOSE, owner=id.bytes)
        confirmed = await DomainRepository(self.unit_of_work).confirmed(stored.domains, tenant_id)
        return KnownConnection(
            id, tenant_id, stored.issuer, stored.client_id, secret.decode(), stored.default_role, sorted(confirmed)
        )

    async def _require(self, id: UUID, patch: ConnectionPatch, tenant_id: UUID) -> None:
        if patch.required is True:
            await require_connection(self.unit_of_work, tenant_id, id)
        elif patch.required is False and await required_connection(self.unit_of_work, tenant_id) == id:
            await require_connection(self.unit_of_work, tenant_id, None)

    async def _require_free(self, domains: Sequence[str], but: UUID | None = None) -> None:
        if domains and await self.connections.others_with(domains, but):
            raise DomainTaken

    def _safe(self, issuer: str) -> str:
        if self.settings.is_production and not issuer.startswith("https://"):
            raise InsecureIssuer
        return issuer

    async def _complete(self, stored: Sequence[StoredConnection], tenant_id: UUID) -> Sequence[Connection]:
        required = await required_connection(self.unit_of_work, tenant_id) if stored else None
        domains = sorted({domain for each in stored for domain in each.domains})
        confirmed = await DomainRepository(self.unit_of_work).confirmed(domains, tenant_id) if domains else set()
        start = f"{self.settings.base_url}{API_PREFIX}/auth/sso/start"
        return [
            Connection(
                **asdict(each),
                confirmed_domains=[domain for domain in each.domains if domain in confirmed],
                required=each.id == required,
                login_url=with_query(start, tenant_id=str(tenant_id), connection_id=str(each.id)),
            )
            for each in stored
        ]
