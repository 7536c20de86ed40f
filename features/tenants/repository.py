from typing import ClassVar
from uuid import UUID

from features.tenants.dtos import Membership, MyTenant, Tenant
from features.tenants.errors import TenantNotFound
from features.tenants.models import MembershipRow, TenantRow
from tenantry.db.page import Page, PageRequest
from tenantry.db.repository import Repository


class TenantRepository(Repository[TenantRow, Tenant]):
    not_found = TenantNotFound


class MembershipRepository(Repository[MembershipRow, Membership]):
    async def of_user(self, user_id: UUID) -> list[Membership]:
        """Of all tenants; the unit of work must have that user bound."""
        rows = await self.unit_of_work.rows(self.views.where(MembershipRow.user_id == user_id))
        return [self.view(row) for row in rows]


class MyTenantRepository(Repository[TenantRow, MyTenant]):
    """A tenant as one of its members sees it."""

    sortable = ("created_at", "name")
    columns: ClassVar = {"role": MembershipRow.role}
    not_found = TenantNotFound

    async def list(self, page: PageRequest, user_id: UUID) -> Page[MyTenant]:
        mine = MembershipRow.tenant_id == TenantRow.id
        return await self.page(self.views.join(MembershipRow, mine).where(MembershipRow.user_id == user_id), page)
