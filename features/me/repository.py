from uuid import UUID

from sqlalchemy import delete, insert, or_, select

from features.me.dtos import PendingAddress
from features.me.models import LIFETIME, AddressChangeRow
from tenantry.clock import now
from tenantry.db.session import UnitOfWork


class AddressChangeRepository:
    def __init__(self, unit_of_work: UnitOfWork) -> None:
        self.unit_of_work = unit_of_work

    async def begin(self, user_id: UUID, email: str, old_token_hash: bytes, new_token_hash: bytes) -> None:
        await self.forget(user_id)
        await self.unit_of_work.execute(
            insert(AddressChangeRow).values(
                user_id=user_id,
                email=email,
                old_token_hash=old_token_hash,
                new_token_hash=new_token_hash,
                expires_at=now() + LIFETIME,
            )
        )

    async def locked(self, token_hash: bytes) -> AddressChangeRow | None:
        """That of a link which is still good: the two of one change wait for each other."""
        either = or_(AddressChangeRow.old_token_hash == token_hash, AddressChangeRow.new_token_hash == token_hash)
        found = select(AddressChangeRow).where(either, AddressChangeRow.expires_at > now()).with_for_update()
        row: AddressChangeRow | None = await self.unit_of_work.entity(found)
        return row

    async def pending(self, user_id: UUID) -> PendingAddress | None:
        chosen = select(AddressChangeRow.email, AddressChangeRow.created_at, AddressChangeRow.expires_at)
        row = await self.unit_of_work.row(
            chosen.where(AddressChangeRow.user_id == user_id, AddressChangeRow.expires_at > now())
        )
        return PendingAddress(**row._mapping) if row is not None else None

    async def forget(self, user_id: UUID) -> None:
        await self.unit_of_work.execute(delete(AddressChangeRow).where(AddressChangeRow.user_id == user_id))
