"""What other slices may ask of tenants."""

from uuid import UUID

from features.tenants.dtos import Membership
from features.tenants.repository import MembershipRepository
from tenantry.db.session import UnitOfWork

__all__ = ("Membership", "memberships_of")


async def memberships_of(unit_of_work: UnitOfWork, user_id: UUID) -> list[Membership]:
    """In all tenants, of a user who has proven who they are; binds that user."""
    await unit_of_work.bind_user(user_id)
    return await MembershipRepository(unit_of_work).of_user(user_id)
