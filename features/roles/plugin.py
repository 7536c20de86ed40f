from features.roles.controller import PermissionController, RoleController
from features.roles.repository import RoleRepository
from features.roles.service import RoleService
from tenantry.feature import Feature

feature = Feature(
    "roles",
    controllers=[PermissionController, RoleController],
    provides={"roles": RoleRepository, "own_roles": RoleService},
)
