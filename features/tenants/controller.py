from litestar import Controller, get, patch, post
from msgspec import UNSET
from tenantry.db.page import Page, PageRequest
from tenantry.http.policy import allow, signed_in
from tenantry.security.principal import Principal

from features.tenants.dtos import MyTenant, Tenant, TenantCreate, TenantPatch
from features.tenants.permissions import READ, WRITE
from features.tenants.repository import MyTenantRepository, TenantRepository
from features.tenants.service import TenantService


class TenantController(Controller):
    path = "/tenants"

    @get(opt=signed_in(), summary="List my tenants")
    async def mine(self, my_tenants: MyTenantRepository, page: PageRequest, principal: Principal) -> Page[MyTenant]:
        """Those that you are a member of, with your role in each."""
        return await my_tenants.list(page, principal.user_id)

    @post(opt=signed_in(audit="tenant.created"), summary="Create a tenant")
    async def create(self, data: TenantCreate, tenant_service: TenantService, principal: Principal) -> Tenant:
        """You become its owner. Use `POST /auth/switch` to get a token for it."""
        return await tenant_service.found(data, principal)

    @get("/current", opt=allow(READ), summary="Get the active tenant")
    async def current(self, tenants: TenantRepository, principal: Principal) -> Tenant:
        return await tenants.get(principal.tenant)

    @patch("/current", opt=allow(WRITE, audit="tenant.changed"), summary="Change the active tenant")
    async def change(self, data: TenantPatch, tenants: TenantRepository, principal: Principal) -> Tenant:
        tenant = await tenants.entity(principal.tenant)
        if data.name is not UNSET:
            tenant.rename(data.name)
        if data.slug is not UNSET:
            tenant.move_to(data.slug)
        return await tenants.save(tenant)
