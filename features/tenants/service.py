from datetime import timedelta
from uuid import UUID

from features.roles.api import require_grantable
from features.tenants.dtos import Membership, Tenant, TenantCreate
from features.tenants.errors import LastOwner, OwnerRequired, TenantNotFound
from features.tenants.models import MembershipRow, TenantRow
from features.tenants.repository import MembershipRepository, TenantRepository
from tenantry.config import Settings
from tenantry.db.session import UnitOfWork
from tenantry.ids import new_id
from tenantry.security.permissions import Role
from tenantry.security.principal import Principal


class TenantService:
    """Founding a tenant spans two aggregates: the tenant and its first membership."""

    def __init__(self, unit_of_work: UnitOfWork, settings: Settings) -> None:
        self.unit_of_work, self.settings = unit_of_work, settings

    async def found(self, data: TenantCreate, founder: UUID) -> Tenant:
        tenant_id = new_id()
        await self.unit_of_work.bind_tenant(tenant_id)
        row = TenantRow(id=tenant_id, name=data.name, slug=data.slug, plan=self.settings.default_plan)
        tenant = await TenantRepository(self.unit_of_work).add(row)
        await MembershipService(self.unit_of_work).admit(Role.owner.name, user_id=founder)
        return tenant

    async def schedule_erasure(self, tenant_id: UUID) -> Tenant:
        grace = timedelta(days=self.settings.tenant_grace_days)
        return await TenantRepository(self.unit_of_work).alter(tenant_id, lambda tenant: tenant.schedule_erasure(grace))

    async def restore(self, tenant_id: UUID, by: Principal) -> Tenant:
        """By an owner, who has to come from outside: nobody can work in a tenant that is about to be deleted.

        Raises:
            TenantNotFound: they are no member of such a tenant.
        """
        memberships = await MembershipRepository(self.unit_of_work).of_user(by.subject_id)
        role = next((membership.role for membership in memberships if membership.tenant_id == tenant_id), None)
        if role is None:
            raise TenantNotFound
        if role != Role.owner.name:
            raise OwnerRequired
        await self.unit_of_work.bind_tenant(tenant_id)
        return await TenantRepository(self.unit_of_work).alter(tenant_id, TenantRow.restore)


class MembershipService:
    """Who belongs to a tenant, and in which role. Nobody changes or removes a member who may do more than they."""

    def __init__(self, unit_of_work: UnitOfWork) -> None:
        self.unit_of_work = unit_of_work
        self.memberships = MembershipRepository(unit_of_work)

    async def admit(
        self, role: str, *, user_id: UUID | None = None, service_account_id: UUID | None = None
    ) -> Membership:
        """One of the two becomes a member; whoever decides that has seen to it that the role may be given."""
        row = MembershipRow(user_id=user_id, service_account_id=service_account_id)
        row.assume(role)
        return await self.memberships.add(row)

    async def change_role(self, subject_id: UUID, role: str, by: Principal) -> Membership:
        row = await self.memberships.locked(subject_id)
        await require_grantable(self.unit_of_work, by, row.named_role, role)
        # Not through the entity: to write one, SQLAlchemy wants the tables of other slices that its row refers to.
        await self.memberships.alter(row.id, lambda membership: membership.assume(role))
        return await self.memberships.of(subject_id)

    async def leave_all(self, user_id: UUID) -> None:
        """Of a person who goes for good, tenant by tenant.

        Raises:
            LastOwner: one of them would have no owner; it is in `tenant_id`.
        """
        await self.unit_of_work.bind_user(user_id)
        for membership in await self.memberships.of_user(user_id):
            await self.unit_of_work.bind_tenant(membership.tenant_id)
            row = await self.memberships.locked(user_id)
            try:
                await self.memberships.remove(row.id)
            except LastOwner as error:
                raise LastOwner(tenant_id=str(membership.tenant_id)) from error

    async def remove(self, subject_id: UUID, by: Principal) -> None:
        row = await self.memberships.locked(subject_id)
        await require_grantable(self.unit_of_work, by, row.named_role)
        await self.memberships.remove(row.id)
