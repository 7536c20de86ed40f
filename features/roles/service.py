from collections.abc import Collection, Sequence
from uuid import UUID

from msgspec import UNSET

from features.roles.dtos import Role, RoleCreate, RolePatch
from features.roles.errors import PermissionNotHeld, UnknownPermission
from features.roles.models import CustomRoleRow
from features.roles.repository import GrantRepository, RoleRepository
from tenantry.db.grants import held_permissions
from tenantry.db.session import UnitOfWork
from tenantry.security.principal import Principal


class RoleService:
    """A tenant's own roles. Nobody creates, changes or deletes one that includes what they do not hold."""

    def __init__(self, unit_of_work: UnitOfWork, principal: Principal) -> None:
        self.unit_of_work, self.principal = unit_of_work, principal
        self.roles, self.grants = RoleRepository(unit_of_work), GrantRepository(unit_of_work)

    async def create(self, data: RoleCreate) -> Role:
        await self._require_declared(data.permissions)
        await self._require_held(data.name, set(data.permissions))
        await self.roles.make_room()
        return await self.roles.add(CustomRoleRow.of(data))

    async def change(self, role_id: UUID, patch: RolePatch) -> Role:
        role = await self.roles.entity(role_id)
        after = [] if patch.permissions is UNSET else patch.permissions
        await self._require_declared(after)
        await self._require_held(role.name, await self.grants.permissions_of(role.name) | set(after))
        role.apply(patch)
        await self.unit_of_work.flush()
        return await self.roles.get(role_id)

    async def remove(self, role_id: UUID) -> None:
        role = await self.roles.entity(role_id)
        await self._require_held(role.name, await self.grants.permissions_of(role.name))
        await self.roles.remove(role_id)

    async def _require_declared(self, permissions: Sequence[str]) -> None:
        declared = await self.grants.declared()
        faults = [
            {"detail": f"There is no permission {name!r}.", "pointer": f"/permissions/{index}"}
            for index, name in enumerate(permissions)
            if name not in declared
        ]
        if faults:
            raise UnknownPermission(errors=faults)

    async def _require_held(self, role: str, permissions: Collection[str]) -> None:
        require_held(await held_permissions(self.unit_of_work, self.principal), permissions, role)


def require_held(held: Collection[str], wanted: Collection[str], role: str | None = None) -> None:
    """
    Raises:
        PermissionNotHeld: some of what is wanted, as part of `role` or not, is not held.
    """
    if missing := sorted(set(wanted).difference(held)):
        raise PermissionNotHeld(role=role, missing=missing)
