from tenantry.security.permissions import Permission, Role

READ = Permission("service-accounts:read", "See service accounts and their roles", Role.admin)
WRITE = Permission("service-accounts:write", "Create, change and delete service accounts", Role.admin)
