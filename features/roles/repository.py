from sqlalchemy import select

from features.roles.errors import UnknownRole
from features.roles.models import CustomRoleRow, RolePermissionRow
from tenantry.db.session import UnitOfWork
from tenantry.security.permissions import Role


class GrantRepository:
    """What roles may do, built-in and custom ones alike."""

    def __init__(self, unit_of_work: UnitOfWork) -> None:
        self.unit_of_work = unit_of_work

    async def permissions_of(self, role: str) -> frozenset[str]:
        if role in Role.__members__:
            mirrored = select(RolePermissionRow.permission).where(RolePermissionRow.role == role)
            return frozenset(row.permission for row in await self.unit_of_work.rows(mirrored))
        custom = select(CustomRoleRow.permissions).where(CustomRoleRow.name == role)
        permissions: list[str] | None = await self.unit_of_work.scalar(custom)
        if permissions is None:
            raise UnknownRole(errors=[{"detail": "The tenant has no such role.", "pointer": "/role"}])
        return frozenset(permissions)
