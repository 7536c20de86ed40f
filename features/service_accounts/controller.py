from uuid import UUID

from litestar import Controller, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from features.service_accounts.dtos import ServiceAccount, ServiceAccountCreate, ServiceAccountPatch
from features.service_accounts.permissions import READ, WRITE
from features.service_accounts.repository import AccountRepository
from features.service_accounts.service import ServiceAccountService
from tenantry.db.page import Page
from tenantry.http.page import PageQuery, lists
from tenantry.http.policy import allow
from tenantry.security.principal import CurrentPrincipal

ServiceAccounts = NamedDependency[ServiceAccountService]


class ServiceAccountController(Controller):
    path = "/service-accounts"

    @get(opt=allow(READ) | lists(AccountRepository), summary="List service accounts")
    async def list(self, service_accounts: ServiceAccounts, page: PageQuery) -> Page[ServiceAccount]:
        return await service_accounts.list(page)

    @post(opt=allow(WRITE, audit="service-account.created", idempotent=True), summary="Create a service account")
    async def create(
        self,
        data: JSONBody[ServiceAccountCreate],
        service_accounts: ServiceAccounts,
        principal: CurrentPrincipal,
    ) -> ServiceAccount:
        """In a role that includes nothing that you may not do yourself. `POST /api-keys` gives it credentials."""
        return await service_accounts.create(data, principal)

    @get("/{service_account_id:uuid}", opt=allow(READ), summary="Get a service account")
    async def get(self, service_account_id: FromPath[UUID], service_accounts: ServiceAccounts) -> ServiceAccount:
        return await service_accounts.get(service_account_id)

    @patch(
        "/{service_account_id:uuid}",
        opt=allow(WRITE, audit="service-account.changed"),
        summary="Change a service account",
    )
    async def change(
        self,
        service_account_id: FromPath[UUID],
        data: JSONBody[ServiceAccountPatch],
        service_accounts: ServiceAccounts,
        principal: CurrentPrincipal,
    ) -> ServiceAccount:
        """Fields that are left out stay as they are. Another role holds from the next request on."""
        return await service_accounts.change(service_account_id, data, principal)

    @delete(
        "/{service_account_id:uuid}",
        opt=allow(WRITE, audit="service-account.deleted"),
        summary="Delete a service account",
    )
    async def delete(
        self,
        service_account_id: FromPath[UUID],
        service_accounts: ServiceAccounts,
        principal: CurrentPrincipal,
    ) -> None:
        """Its API keys and the tokens that were issued for them stop working at once."""
        await service_accounts.delete(service_account_id, principal)
