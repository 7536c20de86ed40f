"""What other slices may ask of tenants."""

from collections.abc import Iterable
from uuid import UUID

from features.roles.api import RoleName
from features.tenants.dtos import Membership
from features.tenants.errors import MemberNotFound
from features.tenants.repository import MembershipRepository
from features.tenants.service import MembershipService
from tenantry.db.session import UnitOfWork

__all__ = (
    "MemberNotFound",
    "Membership",
    "MembershipService",
    "RoleName",
    "membership_of",
    "memberships_of",
    "roles_of",
)


async def memberships_of(unit_of_work: UnitOfWork, user_id: UUID) -> list[Membership]:
    """In all tenants, of a user who has proven who they are; binds that user."""
    await unit_of_work.bind_user(user_id)
    return await MembershipRepository(unit_of_work).of_user(user_id)


async def membership_of(unit_of_work: UnitOfWork, subject_id: UUID) -> Membership:
    """In the tenant that is bound.

    Raises:
        MemberNotFound: the tenant has no such member.
    """
    return await MembershipRepository(unit_of_work).of(subject_id)


async def roles_of(unit_of_work: UnitOfWork, subject_ids: Iterable[UUID]) -> dict[UUID, RoleName]:
    """Of those who are members of the tenant that is bound; at most a page of them."""
    found = await MembershipRepository(unit_of_work).of_all([*subject_ids])
    return {membership.subject_id: membership.role for membership in found}
