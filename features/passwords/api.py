"""For those who change what a link to a new password rests on."""

from uuid import UUID

from features.passwords.repository import PasswordResetRepository
from tenantry.db.session import UnitOfWork

__all__ = ("revoke_resets",)


async def revoke_resets(unit_of_work: UnitOfWork, user_id: UUID) -> None:
    """Links that are on their way are good for nothing from now on."""
    await PasswordResetRepository(unit_of_work).revoke_all(user_id)
