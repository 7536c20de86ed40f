"""What other slices may ask of roles."""

from features.roles.errors import PermissionNotHeld
from features.roles.repository import GrantRepository
from tenantry.db.grants import held_permissions
from tenantry.db.session import UnitOfWork
from tenantry.security.principal import Principal

__all__ = ("require_grantable",)


async def require_grantable(unit_of_work: UnitOfWork, principal: Principal, *roles: str) -> None:
    """
    Raises:
        UnknownRole: the tenant has no role of this name.
        PermissionNotHeld: the role includes what the principal does not hold.
    """
    held = await held_permissions(unit_of_work, principal)
    for role in roles:
        if missing := await GrantRepository(unit_of_work).permissions_of(role) - held:
            raise PermissionNotHeld(role=role, missing=sorted(missing))
