from features.tenants.dtos import Tenant, TenantCreate
from features.tenants.models import MembershipRow, TenantRow
from features.tenants.repository import MembershipRepository, TenantRepository
from tenantry.db.session import UnitOfWork
from tenantry.ids import new_id
from tenantry.security.permissions import Role
from tenantry.security.principal import Principal


class TenantService:
    """Founding a tenant spans two aggregates: the tenant and its first membership."""

    def __init__(self, unit_of_work: UnitOfWork) -> None:
        self.unit_of_work = unit_of_work

    async def found(self, data: TenantCreate, founder: Principal) -> Tenant:
        tenant_id = new_id()
        await self.unit_of_work.bind_tenant(tenant_id)
        tenant = await TenantRepository(self.unit_of_work).add(TenantRow(id=tenant_id, name=data.name, slug=data.slug))
        await MembershipRepository(self.unit_of_work).add(
            MembershipRow(user_id=founder.subject_id, role=Role.owner.name)
        )
        return tenant
