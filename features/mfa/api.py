"""What factors of any kind have in common, for the slices that know how to judge one."""

from uuid import UUID

from features.mfa.dtos import FactorAdded, NewFactor
from features.mfa.repository import FactorRepository
from features.mfa.service import FactorService
from tenantry.db.session import UnitOfWork

__all__ = ("FactorAdded", "FactorService", "NewFactor", "forget_factors")


async def forget_factors(unit_of_work: UnitOfWork, user_id: UUID) -> None:
    """All that were ever begun, of somebody who goes for good."""
    await FactorRepository(unit_of_work).forget(user_id)
