from tenantry.security.permissions import Permission, Role

READ = Permission("members:read", "See members", Role.viewer)
WRITE = Permission("members:write", "Invite members, change their roles and remove them", Role.admin)
TRANSFER = Permission("members:transfer", "Hand the tenant over to another owner", Role.owner)
