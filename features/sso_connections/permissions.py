from tenantry.security.permissions import Permission, Role

READ = Permission("sso:read", "See the tenant's connections to identity providers", Role.admin)
WRITE = Permission("sso:write", "Create, change and delete connections to identity providers", Role.admin)
