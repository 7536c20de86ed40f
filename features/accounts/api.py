"""Who is behind an e-mail address, for those who let people in or change who they are."""

from uuid import UUID

from features.accounts.dtos import Account, Credentials, Person, PersonName
from features.accounts.models import UserRow
from features.accounts.repository import SignUpRepository, UserRepository
from features.accounts.service import normalized
from tenantry.db.session import UnitOfWork

__all__ = (
    "Account",
    "Credentials",
    "Person",
    "PersonName",
    "account_of",
    "address_of",
    "anonymize",
    "change_address",
    "create_account",
    "credentials_of",
    "credentials_of_user",
    "is_registered",
    "lock_account",
    "normalized",
    "note_second_factor",
    "person",
    "rename",
    "replace_hash",
    "set_password",
)


async def account_of(unit_of_work: UnitOfWork, user_id: UUID) -> Account:
    return await UserRepository(unit_of_work).get(user_id)


async def credentials_of(unit_of_work: UnitOfWork, email: str) -> Credentials | None:
    """Of the account with this normalized address."""
    return await UserRepository(unit_of_work).credentials(email)


async def credentials_of_user(unit_of_work: UnitOfWork, user_id: UUID) -> Credentials | None:
    return await UserRepository(unit_of_work).credentials_of_user(user_id)


async def is_registered(unit_of_work: UnitOfWork, email: str) -> bool:
    """Whether somebody has this normalized address."""
    return await UserRepository(unit_of_work).exists(email)


async def address_of(unit_of_work: UnitOfWork, user_id: UUID) -> str:
    """Normalized."""
    return (await UserRepository(unit_of_work).get(user_id)).email


async def create_account(unit_of_work: UnitOfWork, email: str, name: str) -> UUID | None:
    """For somebody who has proven elsewhere that the address is theirs; without a password.

    None where the address has an account.
    """
    return await UserRepository(unit_of_work).create(email, name)


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


async def set_password(unit_of_work: UnitOfWork, user_id: UUID, password_hash: str) -> None:
    """Whatever the one before was."""
    await UserRepository(unit_of_work).set_password(user_id, password_hash)


async def rename(unit_of_work: UnitOfWork, user_id: UUID, name: str) -> Account:
    return await UserRepository(unit_of_work).alter(user_id, lambda user: user.rename(name))


async def change_address(unit_of_work: UnitOfWork, user_id: UUID, email: str) -> None:
    """To a normalized one, which its owner has confirmed."""
    await UserRepository(unit_of_work).set_address(user_id, email)
    await SignUpRepository(unit_of_work).forget(email)


async def anonymize(unit_of_work: UnitOfWork, user_id: UUID) -> None:
    """The end of an account. Its id stays, which others refer to."""
    users = UserRepository(unit_of_work)
    await SignUpRepository(unit_of_work).forget((await users.get(user_id)).email)
    await users.alter(user_id, UserRow.anonymize)
