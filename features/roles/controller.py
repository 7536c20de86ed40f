from uuid import UUID

from litestar import Controller, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from features.roles.dtos import Role, RoleCreate, RolePatch
from features.roles.permissions import READ, WRITE
from features.roles.repository import RoleRepository
from features.roles.service import RoleService
from tenantry.db.page import Page
from tenantry.http.catalogue import CataloguedPermission, PermissionCatalogue
from tenantry.http.policy import allow

Roles = NamedDependency[RoleRepository]
OwnRoles = NamedDependency[RoleService]


class PermissionController(Controller):
    path = "/permissions"

    @get(opt=allow(READ), summary="List permissions")
    async def list(self, catalogue: NamedDependency[PermissionCatalogue]) -> Page[CataloguedPermission]:
        """All that there are, each with the built-in roles that include it and the routes that need it."""
        return Page([*catalogue.permissions], None)


class RoleController(Controller):
    path = "/roles"

    @get(opt=allow(READ), summary="List roles")
    async def list(self, roles: Roles) -> Page[Role]:
        """All on one page: the built-in ones, which have no id, then the tenant's own by name."""
        return Page(await roles.list(), None)

    @post(opt=allow(WRITE, audit="role.created", idempotent=True), summary="Create a role")
    async def create(self, data: JSONBody[RoleCreate], own_roles: OwnRoles) -> Role:
        """You must hold all permissions that you give to it."""
        return await own_roles.create(data)

    @get("/{role_id:uuid}", opt=allow(READ), summary="Get one of the tenant's own roles")
    async def get(self, role_id: FromPath[UUID], roles: Roles) -> Role:
        return await roles.get(role_id)

    @patch("/{role_id:uuid}", opt=allow(WRITE, audit="role.changed"), summary="Change a role")
    async def change(self, role_id: FromPath[UUID], data: JSONBody[RolePatch], own_roles: OwnRoles) -> Role:
        """Acts on the next request of all who have the role. You must hold its permissions, before and after."""
        return await own_roles.change(role_id, data)

    @delete("/{role_id:uuid}", opt=allow(WRITE, audit="role.deleted"), summary="Delete a role that nobody has")
    async def delete(self, role_id: FromPath[UUID], own_roles: OwnRoles) -> None:
        """You must hold its permissions."""
        await own_roles.remove(role_id)
