from typing import ClassVar
from uuid import UUID

from sqlalchemy import Text, any_, false, func, select
from sqlalchemy.dialects.postgresql import ARRAY

from features.roles.dtos import Role
from features.roles.errors import RoleInUse, RoleNotFound, TooManyRoles, UnknownRole
from features.roles.models import BUILT_IN, MOST_ROLES, CustomRoleRow, RolePermissionRow
from tenantry.db.denials import BrokenReference
from tenantry.db.repository import Repository
from tenantry.db.session import UnitOfWork
from tenantry.security.permissions import Role as BuiltInRole

DECLARED = select(RolePermissionRow.permission).where(RolePermissionRow.role == BuiltInRole.owner.name)
"""Owners have all permissions that there are."""
GRANTED = func.array(
    DECLARED.where(RolePermissionRow.permission == any_(CustomRoleRow.permissions))
    .order_by(RolePermissionRow.permission)
    .correlate(CustomRoleRow)
    .scalar_subquery(),
    type_=ARRAY(Text()),
)
"""What a custom role names, without what no slice declares any more."""


class GrantRepository:
    """What roles may do, built-in and custom ones alike."""

    def __init__(self, unit_of_work: UnitOfWork) -> None:
        self.unit_of_work = unit_of_work

    async def declared(self) -> frozenset[str]:
        return frozenset(row.permission for row in await self.unit_of_work.rows(DECLARED))

    async def permissions_of(self, role: str, *, field: str = "role") -> frozenset[str]:
        if role in BuiltInRole.__members__:
            mirrored = select(RolePermissionRow.permission).where(RolePermissionRow.role == role)
            return frozenset(row.permission for row in await self.unit_of_work.rows(mirrored))
        permissions = await self.unit_of_work.scalar(select(GRANTED).where(CustomRoleRow.name == role))
        if permissions is None:
            raise UnknownRole(errors=[{"detail": "The tenant has no such role.", "pointer": f"/{field}"}])
        return frozenset(permissions)


class RoleRepository(Repository[CustomRoleRow, Role]):
    columns: ClassVar = {"permissions": GRANTED, "built_in": false()}
    not_found = RoleNotFound

    async def list(self) -> list[Role]:
        granted = await self.unit_of_work.rows(
            select(RolePermissionRow.role, RolePermissionRow.permission).order_by(RolePermissionRow.permission)
        )
        built_in = [
            Role(None, role.name, description, [each.permission for each in granted if each.role == role.name], True)
            for role, description in BUILT_IN.items()
        ]
        return built_in + await self.unit_of_work.structs(self.views.order_by(CustomRoleRow.name), Role)

    async def make_room(self) -> None:
        """For one more. Whoever asks next waits until this transaction ends, and counts what it adds."""
        name = f"roles of {self.unit_of_work.tenant_id}"
        await self.unit_of_work.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(name, 0))))
        if await self.unit_of_work.scalar(select(func.count()).select_from(CustomRoleRow)) >= MOST_ROLES:
            raise TooManyRoles(limit=MOST_ROLES)

    async def add(self, row: CustomRoleRow) -> Role:
        """Reads it anew: in RETURNING, SQLAlchemy would look for the permissions in all roles."""
        await super().add(row)
        return await self.get(row.id)

    async def remove(self, id: UUID) -> None:
        """At once, so that whoever still refers to it is heard here."""
        try:
            if not await self.unit_of_work.execute(self.removal, {"id": id}):
                raise self.not_found
        except BrokenReference as error:
            raise RoleInUse from error
