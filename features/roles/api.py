"""What other slices may ask of roles."""

from features.roles.dtos import RoleName
from features.roles.repository import GrantRepository
from features.roles.service import require_held
from tenantry.db.grants import held_permissions
from tenantry.db.session import UnitOfWork
from tenantry.security.principal import Principal

__all__ = ("RoleName", "known_permissions", "require_grantable", "require_held")


async def require_grantable(unit_of_work: UnitOfWork, principal: Principal, *roles: str, field: str = "role") -> None:
    """`field` of the body is where the roles come from.

    Raises:
        UnknownRole: the tenant has no role of this name.
        PermissionNotHeld: the role includes what the principal does not hold.
    """
    held = await held_permissions(unit_of_work, principal)
    for role in roles:
        require_held(held, await GrantRepository(unit_of_work).permissions_of(role, field=field), role)


async def known_permissions(unit_of_work: UnitOfWork) -> frozenset[str]:
    """All that slices declare."""
    return await GrantRepository(unit_of_work).declared()
