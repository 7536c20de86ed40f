from tenantry.errors import Forbidden, Unprocessable


class UnknownRole(Unprocessable):
    code = "unknown_role"
    title = "The tenant has no such role"


class PermissionNotHeld(Forbidden):
    code = "permission_not_held"
    title = "Nobody can grant or take away what they do not hold themselves"
