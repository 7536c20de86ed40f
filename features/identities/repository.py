from uuid import UUID

from sqlalchemy import delete, select, update
from sqlalchemy.dialects.postgresql import insert

from features.identities.dtos import Identity
from features.identities.errors import IdentityNotFound, IdentityTaken
from features.identities.models import IdentityRow
from tenantry.clock import now
from tenantry.db.session import UnitOfWork
from tenantry.ids import new_id


class IdentityRepository:
    def __init__(self, unit_of_work: UnitOfWork) -> None:
        self.unit_of_work = unit_of_work

    async def user_of(self, issuer: str, subject: str) -> UUID | None:
        user_id: UUID | None = await self.unit_of_work.scalar(
            select(IdentityRow.user_id).where(IdentityRow.issuer == issuer, IdentityRow.subject == subject)
        )
        return user_id

    async def touch(self, issuer: str, subject: str) -> None:
        used = update(IdentityRow).where(IdentityRow.issuer == issuer, IdentityRow.subject == subject)
        await self.unit_of_work.execute(used.values(last_used_at=now()))

    async def link(self, user_id: UUID, issuer: str, subject: str) -> Identity:
        """
        Raises:
            IdentityTaken: it is linked to somebody else.
        """
        values = {"user_id": user_id, "issuer": issuer, "subject": subject}
        defaults = {"id": new_id(), "created_at": now()}
        adding = insert(IdentityRow).values(**values, **defaults).on_conflict_do_nothing()
        await self.unit_of_work.execute(adding)
        found = await self.of(user_id)
        linked = [each for each in found if (each.issuer, each.subject) == (issuer, subject)]
        if not linked:
            raise IdentityTaken
        return linked[0]

    async def of(self, user_id: UUID) -> list[Identity]:
        chosen = [getattr(IdentityRow, field) for field in Identity.__struct_fields__]
        found = select(*chosen).where(IdentityRow.user_id == user_id).order_by(IdentityRow.id)
        return [Identity(**row._mapping) for row in await self.unit_of_work.rows(found)]

    async def unlink(self, user_id: UUID, id: UUID) -> None:
        own = delete(IdentityRow).where(IdentityRow.id == id, IdentityRow.user_id == user_id)
        if not await self.unit_of_work.execute(own):
            raise IdentityNotFound
