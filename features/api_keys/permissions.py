from tenantry.security.permissions import Permission, Role

# For all members: a key may do no more than its holder, and everyone must be able to revoke their own.
READ = Permission("api-keys:read", "See one's own API keys", Role.viewer)
WRITE = Permission("api-keys:write", "Create, change, rotate and revoke one's own API keys", Role.viewer)
MANAGE = Permission(
    "api-keys:manage", "See and revoke all API keys of the tenant; give keys to service accounts", Role.admin
)
