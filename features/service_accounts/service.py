from uuid import UUID

from msgspec import UNSET
from msgspec.structs import asdict

from features.roles.api import require_grantable
from features.service_accounts.dtos import Account, ServiceAccount, ServiceAccountCreate, ServiceAccountPatch
from features.service_accounts.errors import ServiceAccountNotFound
from features.service_accounts.models import ServiceAccountRow
from features.service_accounts.repository import AccountRepository
from features.tenants.api import MembershipService, roles_of
from tenantry.clock import now
from tenantry.db.page import Page, PageRequest
from tenantry.db.session import UnitOfWork
from tenantry.security.principal import Principal


class ServiceAccountService:
    """An account and its membership, which says what it may do, come and go together."""

    def __init__(self, unit_of_work: UnitOfWork) -> None:
        self.unit_of_work = unit_of_work
        self.accounts = AccountRepository(unit_of_work)
        self.memberships = MembershipService(unit_of_work)

    async def list(self, page: PageRequest) -> Page[ServiceAccount]:
        found = await self.accounts.page(page)
        roles = await roles_of(self.unit_of_work, [account.id for account in found.items])
        # What was deleted between the two reads has no role any more.
        items = [with_role(account, roles[account.id]) for account in found.items if account.id in roles]
        return Page(items, found.next_cursor, found.total)

    async def get(self, id: UUID) -> ServiceAccount:
        account = await self.accounts.get(id)
        roles = await roles_of(self.unit_of_work, [id])
        if id not in roles:
            raise ServiceAccountNotFound
        return with_role(account, roles[id])

    async def create(self, data: ServiceAccountCreate, by: Principal) -> ServiceAccount:
        await require_grantable(self.unit_of_work, by, data.role)
        account = await self.accounts.add(ServiceAccountRow(name=data.name))
        membership = await self.memberships.admit(data.role, service_account_id=account.id)
        return with_role(account, membership.role)

    async def change(self, id: UUID, patch: ServiceAccountPatch, by: Principal) -> ServiceAccount:
        row = await self.accounts.entity(id)
        if patch.role is not UNSET:
            await self.memberships.change_role(id, patch.role, by)
            row.updated_at = now()
        if patch.name is not UNSET:
            row.name = patch.name
        await self.unit_of_work.flush()
        return await self.get(id)

    async def delete(self, id: UUID, by: Principal) -> None:
        """Its membership goes first, by the rule for all members, and takes its API keys with it."""
        await self.accounts.entity(id)
        await self.memberships.remove(id, by)
        await self.accounts.remove(id)


def with_role(account: Account, role: str) -> ServiceAccount:
    return ServiceAccount(**asdict(account), role=role)
