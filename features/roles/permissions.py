from tenantry.security.permissions import Permission, Role

READ = Permission("roles:read", "See roles and permissions", Role.viewer)
WRITE = Permission("roles:write", "Create, change and delete the tenant's own roles", Role.admin)
