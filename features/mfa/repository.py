from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert

from features.mfa.models import FactorRow, RecoveryCodeRow, TotpRow
from tenantry.clock import now
from tenantry.db.session import UnitOfWork
from tenantry.security.secrets import digest

ENROLMENT_LIFETIME = timedelta(hours=1)


class Totp(NamedTuple):
    sealed_secret: bytes
    last_step: int
    factor_id: UUID | None


class FactorRepository:
    def __init__(self, unit_of_work: UnitOfWork) -> None:
        self.unit_of_work = unit_of_work

    async def add(self, user_id: UUID, kind: str) -> UUID:
        factor = insert(FactorRow).values(user_id=user_id, kind=kind).returning(FactorRow.id)
        id: UUID = await self.unit_of_work.scalar(factor)
        return id

    async def remove(self, user_id: UUID, id: UUID) -> bool:
        """And what belongs to it."""
        removal = delete(FactorRow).where(FactorRow.user_id == user_id, FactorRow.id == id)
        return await self.unit_of_work.execute(removal) == 1

    async def remove_all(self, user_id: UUID) -> None:
        await self.unit_of_work.execute(delete(FactorRow).where(FactorRow.user_id == user_id))

    async def by_kind(self, user_id: UUID) -> dict[str, int]:
        """How many there are."""
        counted = select(FactorRow.kind, func.count()).where(FactorRow.user_id == user_id)
        rows = await self.unit_of_work.rows(counted.group_by(FactorRow.kind))
        return dict(tuple(row) for row in rows)

    async def replace_codes(self, user_id: UUID, codes: list[str]) -> None:
        await self.unit_of_work.execute(delete(RecoveryCodeRow).where(RecoveryCodeRow.user_id == user_id))
        if codes:
            rows = [{"user_id": user_id, "code_hash": digest(code)} for code in codes]
            await self.unit_of_work.execute(insert(RecoveryCodeRow).values(rows))

    async def redeem_code(self, user_id: UUID, code: str) -> bool:
        """Once, whoever else tries at the same moment."""
        held = RecoveryCodeRow.user_id == user_id, RecoveryCodeRow.code_hash == digest(code)
        return await self.unit_of_work.execute(delete(RecoveryCodeRow).where(*held)) == 1

    async def codes_left(self, user_id: UUID) -> int:
        counted = select(func.count()).select_from(RecoveryCodeRow).where(RecoveryCodeRow.user_id == user_id)
        return int(await self.unit_of_work.scalar(counted))


class TotpRepository:
    def __init__(self, unit_of_work: UnitOfWork) -> None:
        self.unit_of_work = unit_of_work

    async def enrol(self, user_id: UUID, sealed_secret: bytes) -> bool:
        """In place of what was never confirmed; False where one is."""
        values = {"sealed_secret": sealed_secret, "last_step": 0, "created_at": now()}
        enrolment = insert(TotpRow).values(user_id=user_id, **values)
        replacing = enrolment.on_conflict_do_update(
            index_elements=[TotpRow.user_id], set_=values, where=TotpRow.factor_id.is_(None)
        )
        return await self.unit_of_work.scalar(replacing.returning(TotpRow.user_id)) is not None

    async def pending(self, user_id: UUID) -> Totp | None:
        recent = TotpRow.created_at > now() - ENROLMENT_LIFETIME
        return await self._one(TotpRow.user_id == user_id, TotpRow.factor_id.is_(None), recent)

    async def confirmed(self, user_id: UUID) -> Totp | None:
        return await self._one(TotpRow.user_id == user_id, TotpRow.factor_id.is_not(None))

    async def confirm(self, user_id: UUID, pending: Totp, factor_id: UUID, step: int) -> bool:
        """Once, and only what the code was of."""
        same = TotpRow.sealed_secret == pending.sealed_secret, TotpRow.factor_id.is_(None)
        confirmation = update(TotpRow).where(TotpRow.user_id == user_id, *same)
        return await self.unit_of_work.execute(confirmation.values(factor_id=factor_id, last_step=step)) == 1

    async def redeem(self, user_id: UUID, step: int) -> bool:
        """Once, whoever else tries at the same moment."""
        unused = TotpRow.user_id == user_id, TotpRow.factor_id.is_not(None), TotpRow.last_step < step
        return await self.unit_of_work.execute(update(TotpRow).where(*unused).values(last_step=step)) == 1

    async def _one(self, *conditions: ColumnElement[bool]) -> Totp | None:
        chosen = select(TotpRow.sealed_secret, TotpRow.last_step, TotpRow.factor_id)
        row = await self.unit_of_work.row(chosen.where(*conditions))
        return Totp(**row._mapping) if row is not None else None
