"""Accounts, as far as they are the platform's: an address is whose it is."""

from typing import Any
from uuid import UUID

from sqlalchemy import Column, String, Uuid, column, delete, select, table

from tenantry.db.base import Base, TenantOwned
from tenantry.db.session import UnitOfWork

__all__ = ("USERS", "forget_belongings", "person_with")

USERS = table("users", column("id", Uuid()), column("email", String()), column("name", String()))


async def person_with(unit_of_work: UnitOfWork, email: str) -> UUID | None:
    """Addresses are confirmed, and stored in lower case."""
    found: UUID | None = await unit_of_work.scalar(select(USERS.c.id).where(USERS.c.email == email.lower()))
    return found


async def forget_belongings(unit_of_work: UnitOfWork, user_id: UUID) -> None:
    """Delete the rows that are nobody's but this person's: those of a reference that says `ON DELETE CASCADE`.

    The account's own row stays, so that nothing cascades by itself.
    """
    for owner in _owners():
        await unit_of_work.execute(delete(owner.table).where(owner == user_id))


def _owners() -> list[Column[Any]]:
    """The columns that say whose a row is; found, never listed, so that those of a new slice are among them."""
    tenants = {mapper.local_table for mapper in Base.registry.mappers if issubclass(mapper.class_, TenantOwned)}
    return [
        key.parent
        for table_ in reversed(Base.metadata.sorted_tables)
        if table_ not in tenants
        for key in table_.foreign_keys
        if key.target_fullname == "users.id" and key.ondelete == "CASCADE"
    ]
