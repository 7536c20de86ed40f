from datetime import timedelta
from uuid import UUID

from sqlalchemy import column, delete, insert, literal, select, table

from features.passwords.models import PasswordResetRow
from tenantry.clock import now
from tenantry.db.session import UnitOfWork
from tenantry.ids import new_id

USERS = table("users", column("id"))


class PasswordResetRepository:
    def __init__(self, unit_of_work: UnitOfWork) -> None:
        self.unit_of_work = unit_of_work

    async def add(self, user_id: UUID, token_hash: bytes, lifetime: timedelta) -> None:
        """Nothing where nobody has that id, which takes as long.

        What has expired goes at the same time, so that nothing needs to come round for it.
        """
        await self.unit_of_work.execute(
            delete(PasswordResetRow).where(PasswordResetRow.user_id == user_id, PasswordResetRow.expires_at <= now())
        )
        values = {"id": new_id(), "token_hash": token_hash, "created_at": now(), "expires_at": now() + lifetime}
        of_somebody = select(USERS.c.id, *map(literal, values.values())).where(USERS.c.id == user_id)
        await self.unit_of_work.execute(insert(PasswordResetRow).from_select(["user_id", *values], of_somebody))

    async def owner(self, token_hash: bytes) -> UUID | None:
        """Of a link that is still good."""
        live = PasswordResetRow.token_hash == token_hash, PasswordResetRow.expires_at > now()
        user_id: UUID | None = await self.unit_of_work.scalar(select(PasswordResetRow.user_id).where(*live))
        return user_id

    async def redeem(self, token_hash: bytes) -> UUID | None:
        """Use a link, once, whoever else tries at the same moment; its owner's other links go with it."""
        live = PasswordResetRow.token_hash == token_hash, PasswordResetRow.expires_at > now()
        user_id: UUID | None = await self.unit_of_work.scalar(
            delete(PasswordResetRow).where(*live).returning(PasswordResetRow.user_id)
        )
        if user_id is not None:
            await self.revoke_all(user_id)
        return user_id

    async def revoke_all(self, user_id: UUID) -> None:
        await self.unit_of_work.execute(delete(PasswordResetRow).where(PasswordResetRow.user_id == user_id))
