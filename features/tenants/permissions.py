from tenantry.security.permissions import Permission, Role

READ = Permission("tenants:read", "See the tenant", Role.viewer)
WRITE = Permission("tenants:write", "Change the tenant's name, slug and settings", Role.admin)
