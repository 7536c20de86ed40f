from tenantry.security.permissions import Permission, Role

READ = Permission("tenants:read", "See the tenant", Role.viewer)
WRITE = Permission("tenants:write", "Change the tenant's name, slug and settings", Role.admin)
DELETE = Permission("tenants:delete", "Delete the tenant with all that it has", Role.owner)
EXPORT = Permission("tenants:export", "Export all data of the tenant", Role.owner)
