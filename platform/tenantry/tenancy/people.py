"""Accounts, as far as they are the platform's: an address is whose it is."""

from uuid import UUID

from sqlalchemy import String, Uuid, column, select, table

from tenantry.db.session import UnitOfWork

__all__ = ("USERS", "person_with")

USERS = table("users", column("id", Uuid()), column("email", String()), column("name", String()))


async def person_with(unit_of_work: UnitOfWork, email: str) -> UUID | None:
    """Addresses are confirmed, and stored in lower case."""
    found: UUID | None = await unit_of_work.scalar(select(USERS.c.id).where(USERS.c.email == email.lower()))
    return found
