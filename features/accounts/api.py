"""Who is behind an e-mail address, for those who let people in."""

from uuid import UUID

from features.accounts.dtos import Credentials, Person
from features.accounts.repository import UserRepository
from features.accounts.service import normalized
from tenantry.db.session import UnitOfWork

__all__ = (
    "Credentials",
    "Person",
    "credentials_of",
    "credentials_of_user",
    "lock_account",
    "normalized",
    "note_second_factor",
    "person",
    "replace_hash",
)


async def credentials_of(unit_of_work: UnitOfWork, email: str) -> Credentials | None:
    """Of the account with this normalized address."""
    return await UserRepository(unit_of_work).credentials(email)


async def credentials_of_user(unit_of_work: UnitOfWork, user_id: UUID) -> Credentials | None:
    return await UserRepository(unit_of_work).credentials_of_user(user_id)


async def replace_hash(unit_of_work: UnitOfWork, user_id: UUID, before: str | None, after: str) -> bool:
    """False, and nothing has changed, where it is no longer that of `before`."""
    return await UserRepository(unit_of_work).replace_hash(user_id, before, after)


async def person(unit_of_work: UnitOfWork, user_id: UUID) -> Person:
    return await UserRepository(unit_of_work).person(user_id)


async def lock_account(unit_of_work: UnitOfWork, user_id: UUID) -> None:
    """Until the transaction ends: whoever changes what the account logs in with waits for the others."""
    await UserRepository(unit_of_work).lock(user_id)


async def note_second_factor(unit_of_work: UnitOfWork, user_id: UUID, *, has: bool) -> None:
    """Whether a log-in takes a second step from now on."""
    await UserRepository(unit_of_work).note_second_factor(user_id, has=has)
