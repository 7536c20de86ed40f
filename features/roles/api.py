"""What other slices may ask of roles."""

from collections.abc import Collection

from features.roles.errors import PermissionNotHeld
from features.roles.repository import GrantRepository
from tenantry.db.grants import held_permissions
from tenantry.db.session import UnitOfWork
from tenantry.security.permissions import Role
from tenantry.security.principal import Principal

__all__ = ("known_permissions", "require_grantable", "require_held")


async def require_grantable(unit_of_work: UnitOfWork, principal: Principal, *roles: str) -> None:
    """
    Raises:
        UnknownRole: the tenant has no role of this name.
        PermissionNotHeld: the role includes what the principal does not hold.
    """
    held = await held_permissions(unit_of_work, principal)
    for role in roles:
        require_held(held, await GrantRepository(unit_of_work).permissions_of(role), role)


def require_held(held: Collection[str], wanted: Collection[str], role: str | None = None) -> None:
    """
    Raises:
        PermissionNotHeld: some of what is wanted, as part of `role` or not, is not held.
    """
    if missing := sorted(set(wanted).difference(held)):
        raise PermissionNotHeld(role=role, missing=missing)


async def known_permissions(unit_of_work: UnitOfWork) -> frozenset[str]:
    """All that slices declare: an owner may do everything."""
    return await GrantRepository(unit_of_work).permissions_of(Role.owner.name)
