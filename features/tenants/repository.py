from collections.abc import Sequence
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import Integer, Select, Uuid, any_, bindparam, func, select, update
from sqlalchemy.dialects.postgresql import ARRAY

from features.tenants.dtos import Membership, MyTenant, Tenant
from features.tenants.errors import MemberNotFound, TenantNotFound
from features.tenants.models import MembershipRow, TenantRow
from tenantry.db.listing import ANY_OF, EXACT, TEXT, Listing
from tenantry.db.page import Page, PageRequest
from tenantry.db.repository import Repository


class TenantRepository(Repository[TenantRow, Tenant]):
    not_found = TenantNotFound

    async def shared(self, id: UUID) -> Tenant:
        """Locked against changes, but not against others who only look at it."""
        row = await self.unit_of_work.row(self.views.where(TenantRow.id == id).with_for_update(read=True))
        if row is None:
            raise TenantNotFound
        return self.view(row)

    async def required_connection(self, id: UUID) -> UUID | None:
        connection_id: UUID | None = await self.unit_of_work.scalar(
            select(TenantRow.required_connection).where(TenantRow.id == id)
        )
        return connection_id

    async def require_connection(self, id: UUID, connection_id: UUID | None) -> None:
        of_tenant = update(TenantRow).where(TenantRow.id == id)
        await self.unit_of_work.execute(of_tenant.values(required_connection=connection_id))


ROLE = func.coalesce(MembershipRow.role, MembershipRow.custom_role)


class MembershipRepository(Repository[MembershipRow, Membership]):
    columns: ClassVar = {"role": ROLE, "is_service_account": MembershipRow.service_account_id.is_not(None)}

    async def of_user(self, user_id: UUID) -> list[Membership]:
        """Of all tenants; the unit of work must have that user bound."""
        rows = await self.unit_of_work.rows(self.views.where(MembershipRow.user_id == user_id))
        return [self.view(row) for row in rows]

    async def of(self, subject_id: UUID) -> Membership:
        row = await self.unit_of_work.row(self.views.where(MembershipRow.subject_id == subject_id))
        if row is None:
            raise MemberNotFound
        return self.view(row)

    async def of_all(self, subject_ids: list[UUID]) -> list[Membership]:
        found = self.views.where(MembershipRow.subject_id == any_(bindparam("subjects", type_=ARRAY(Uuid()))))
        values = {"subjects": subject_ids, "limit": len(subject_ids)}
        return await self.unit_of_work.structs(found.limit(bindparam("limit", type_=Integer)), Membership, values)

    async def locked(self, subject_id: UUID) -> MembershipRow:
        """To be changed by a rule."""
        found = select(MembershipRow).where(MembershipRow.subject_id == subject_id).with_for_update()
        row: MembershipRow | None = await self.unit_of_work.entity(found)
        if row is None:
            raise MemberNotFound
        # A member goes by the id of the subject, not by that of the row.
        self.unit_of_work.versions.check(subject_id, row.version)
        return row


class MyTenantRepository(Repository[TenantRow, MyTenant]):
    """A tenant as one of its members sees it."""

    columns: ClassVar = {"role": ROLE}
    not_found = TenantNotFound
    listing = Listing(
        sort=("created_at", "name"), filters={"name": TEXT, "slug": EXACT, "status": ANY_OF, "role": ANY_OF}
    )

    async def list(self, page: PageRequest, user_id: UUID) -> Page[MyTenant]:
        return await self.page(page, self._of(user_id))

    async def all(self, user_id: UUID) -> Sequence[MyTenant]:
        """The unit of work must have that user bound."""
        return await self.unit_of_work.structs(self._of(user_id).order_by(TenantRow.id), MyTenant)

    def _of(self, user_id: UUID) -> "Select[Any]":
        mine = MembershipRow.tenant_id == TenantRow.id
        return self.views.join(MembershipRow, mine).where(MembershipRow.user_id == user_id)
