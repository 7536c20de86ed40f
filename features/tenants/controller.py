from uuid import UUID

from litestar import Controller, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from features.tenants.dtos import MyTenant, Tenant, TenantCreate, TenantPatch
from features.tenants.permissions import DELETE, EXPORT, READ, WRITE
from features.tenants.repository import MyTenantRepository, TenantRepository
from features.tenants.service import TenantService
from tenantry.clock import now
from tenantry.db.database import Database
from tenantry.db.page import Page
from tenantry.http.download import Download
from tenantry.http.page import PageQuery, lists
from tenantry.http.policy import allow, signed_in
from tenantry.security.principal import CurrentPrincipal
from tenantry.tenancy.export import MEDIA_TYPE, export

Tenants = NamedDependency[TenantRepository]
MyTenants = NamedDependency[MyTenantRepository]
Tenancy = NamedDependency[TenantService]


class TenantController(Controller):
    path = "/tenants"

    @get(opt=signed_in(confined=True) | lists(MyTenantRepository), summary="List my tenants")
    async def mine(
        self,
        my_tenants: MyTenants,
        page: PageQuery,
        principal: CurrentPrincipal,
    ) -> Page[MyTenant]:
        """Those that you are a member of, with your role in each; of a session that is confined to one, that one."""
        return await my_tenants.list(page, principal.subject_id)

    @post(opt=signed_in(audit="tenant.created", idempotent=True), summary="Create a tenant")
    async def create(
        self,
        data: JSONBody[TenantCreate],
        tenancy: Tenancy,
        principal: CurrentPrincipal,
    ) -> Tenant:
        """You become its owner. Use `POST /auth/switch` to get a token for it."""
        return await tenancy.found(data, principal.subject_id)

    @get("/current", opt=allow(READ), summary="Get the active tenant")
    async def current(self, tenants: Tenants, principal: CurrentPrincipal) -> Tenant:
        return await tenants.get(principal.tenant)

    @patch("/current", opt=allow(WRITE, audit="tenant.changed"), summary="Change the active tenant")
    async def change(
        self,
        data: JSONBody[TenantPatch],
        tenants: Tenants,
        principal: CurrentPrincipal,
    ) -> Tenant:
        """Fields that are left out stay as they are, those of settings too."""
        return await tenants.alter(principal.tenant, lambda tenant: tenant.change(data))

    @delete(
        "/current",
        opt=allow(DELETE, audit="tenant.deletion_scheduled", fresh_auth=True),
        status_code=202,
        summary="Delete the active tenant",
    )
    async def delete(self, tenancy: Tenancy, principal: CurrentPrincipal) -> Tenant:
        """Nobody can use it from now on; until `erase_after` an owner can restore it, then all of its data goes.

        Prove again who you are before.
        """
        return await tenancy.schedule_erasure(principal.tenant)

    @post(
        "/{tenant_id:uuid}/restore",
        opt=signed_in(audit="tenant.restored"),
        status_code=200,
        summary="Restore a tenant that is about to be deleted",
    )
    async def restore(self, tenant_id: FromPath[UUID], tenancy: Tenancy, principal: CurrentPrincipal) -> Tenant:
        """For its owners."""
        return await tenancy.restore(tenant_id, principal)

    @get(
        "/current/export",
        opt=allow(EXPORT, audit="tenant.exported"),
        media_type=MEDIA_TYPE,
        summary="Export the active tenant",
    )
    async def export(
        self, tenants: Tenants, database: NamedDependency[Database], principal: CurrentPrincipal
    ) -> Download:
        """A zip with all of its data at this moment: a file of JSON lines for each table, secrets left out.

        `manifest.json` comes last and has their digests; a file that does not open as a zip is not whole.
        """
        tenant = await tenants.get(principal.tenant)
        parts = export(database, tenant.id, by=principal, permission=EXPORT)
        return Download(parts, f"{tenant.slug}-{now():%Y-%m-%d}.zip", MEDIA_TYPE)
