"""What other slices may ask of tenants."""

from collections.abc import Iterable
from uuid import UUID

from features.roles.api import RoleName
from features.tenants.dtos import Membership, MyTenant, Tenant
from features.tenants.errors import AlreadyAMember, MemberNotFound
from features.tenants.repository import MembershipRepository, MyTenantRepository, TenantRepository
from features.tenants.service import MembershipService
from tenantry.db.denials import DENIALS
from tenantry.db.session import UnitOfWork

__all__ = (
    "AlreadyAMember",
    "MemberNotFound",
    "Membership",
    "MembershipService",
    "MyTenant",
    "RoleName",
    "active_tenant",
    "membership_of",
    "memberships_of",
    "require_connection",
    "required_connection",
    "roles_of",
    "tenants_of",
)


async def active_tenant(unit_of_work: UnitOfWork, tenant_id: UUID) -> Tenant:
    """The tenant that is bound, for work of which `begin_request` has not asked; it stays active until that ends.

    Raises:
        TenantSuspended, TenantDeleting: it is not.
    """
    tenant = await TenantRepository(unit_of_work).shared(tenant_id)
    if tenant.status != "active":
        raise DENIALS[f"tenant_{tenant.status}"]
    return tenant


async def memberships_of(unit_of_work: UnitOfWork, user_id: UUID) -> list[Membership]:
    """In all tenants, of a user who has proven who they are; binds that user."""
    await unit_of_work.bind_user(user_id)
    return await MembershipRepository(unit_of_work).of_user(user_id)


async def tenants_of(unit_of_work: UnitOfWork, user_id: UUID) -> list[MyTenant]:
    """All of a user who has proven who they are; binds that user."""
    await unit_of_work.bind_user(user_id)
    return [*await MyTenantRepository(unit_of_work).all(user_id)]


async def membership_of(unit_of_work: UnitOfWork, subject_id: UUID) -> Membership:
    """In the tenant that is bound.

    Raises:
        MemberNotFound: the tenant has no such member.
    """
    return await MembershipRepository(unit_of_work).of(subject_id)


async def required_connection(unit_of_work: UnitOfWork, tenant_id: UUID) -> UUID | None:
    """The connection to an identity provider by which all but owners of the bound tenant must log in."""
    return await TenantRepository(unit_of_work).required_connection(tenant_id)


async def require_connection(unit_of_work: UnitOfWork, tenant_id: UUID, connection_id: UUID | None) -> None:
    """From the next request on, whoever came in by another way is refused, but for owners; None lets them in again."""
    await TenantRepository(unit_of_work).require_connection(tenant_id, connection_id)


async def roles_of(unit_of_work: UnitOfWork, subject_ids: Iterable[UUID]) -> dict[UUID, RoleName]:
    """Of those who are members of the tenant that is bound; at most a page of them."""
    found = await MembershipRepository(unit_of_work).of_all([*subject_ids])
    return {membership.subject_id: membership.role for membership in found}
