"""Who is behind an e-mail address, for those who let people in."""

from uuid import UUID

from features.accounts.dtos import Credentials
from features.accounts.repository import UserRepository
from features.accounts.service import normalized
from tenantry.db.session import UnitOfWork

__all__ = ("Credentials", "credentials_of", "credentials_of_user", "normalized", "replace_hash")


async def credentials_of(unit_of_work: UnitOfWork, email: str) -> Credentials | None:
    """Of the account with this normalized address."""
    return await UserRepository(unit_of_work).credentials(email)


async def credentials_of_user(unit_of_work: UnitOfWork, user_id: UUID) -> Credentials | None:
    return await UserRepository(unit_of_work).credentials_of_user(user_id)


async def replace_hash(unit_of_work: UnitOfWork, user_id: UUID, before: str | None, after: str) -> bool:
    """False, and nothing has changed, where it is no longer that of `before`."""
    return await UserRepository(unit_of_work).replace_hash(user_id, before, after)
