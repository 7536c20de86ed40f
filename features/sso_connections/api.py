"""The connections of tenants, for whoever lets people in by them."""

from uuid import UUID

from features.sso_connections.dtos import KnownConnection
from features.sso_connections.errors import ConnectionNotFound
from features.sso_connections.repository import ConnectionRepository, DomainRepository
from features.sso_connections.service import ConnectionService
from tenantry.config import Settings
from tenantry.db.session import UnitOfWork
from tenantry.security.vault import Vault

__all__ = ("ConnectionNotFound", "KnownConnection", "connection_of", "connection_of_domain")


async def connection_of(
    unit_of_work: UnitOfWork, vault: Vault, settings: Settings, tenant_id: UUID, id: UUID
) -> KnownConnection:
    """Binds the tenant.

    Raises:
        ConnectionNotFound: it has no such connection.
    """
    await unit_of_work.bind_tenant(tenant_id)
    return await ConnectionService(unit_of_work, vault, settings).known(id, tenant_id)


async def connection_of_domain(unit_of_work: UnitOfWork, domain: str) -> tuple[UUID, UUID]:
    """The tenant for which the domain is confirmed, and its connection that has it; binds that tenant.

    Raises:
        ConnectionNotFound: there is none.
    """
    tenant_id = await DomainRepository(unit_of_work).tenant_of(domain)
    if tenant_id is None:
        raise ConnectionNotFound
    await unit_of_work.bind_tenant(tenant_id)
    id = await ConnectionRepository(unit_of_work).with_domain(domain)
    if id is None:
        raise ConnectionNotFound
    return tenant_id, id
