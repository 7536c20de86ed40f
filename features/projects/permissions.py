from tenantry.security.permissions import Permission, Role

READ = Permission("projects:read", "See projects", Role.viewer)
WRITE = Permission("projects:write", "Create, change, archive and delete projects", Role.member)
