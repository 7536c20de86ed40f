from tenantry.errors import Conflict, NotFound


class SlugTaken(Conflict):
    code = "tenant_slug_taken"
    title = "Another tenant has this slug"
    constraint = "uq_tenants_slug"


class TenantNotFound(NotFound):
    code = "tenant_not_found"
    title = "There is no such tenant"
