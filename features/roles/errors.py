from tenantry.errors import Conflict, Forbidden, NotFound, Unprocessable


class UnknownRole(Unprocessable):
    code = "unknown_role"
    title = "The tenant has no such role"


class UnknownPermission(Unprocessable):
    code = "unknown_permission"
    title = "There is no such permission"


class PermissionNotHeld(Forbidden):
    code = "permission_not_held"
    title = "Nobody can grant or take away what they do not hold themselves"


class RoleNotFound(NotFound):
    code = "role_not_found"
    title = "The tenant has no role of its own with this id"


class RoleNameTaken(Conflict):
    code = "role_name_taken"
    title = "Another role of the tenant has this name"
    constraint = "uq_custom_roles_tenant_id_name"


class RoleNameBuiltIn(Conflict):
    code = "role_name_built_in"
    title = "A built-in role has this name"
    constraint = "ck_custom_roles_name"


class RoleInUse(Conflict):
    code = "role_in_use"
    title = "Members or invitations have this role; give them another first"


class TooManyRoles(Conflict):
    code = "too_many_roles"
    title = "The tenant has as many roles of its own as it can have"
