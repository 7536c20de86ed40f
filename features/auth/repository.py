from uuid import UUID

from sqlalchemy import delete, insert, select

from features.auth.dtos import Challenge
from features.auth.models import ChallengeRow
from tenantry.clock import now
from tenantry.db.session import UnitOfWork

CHALLENGE = (
    ChallengeRow.id,
    ChallengeRow.user_id,
    ChallengeRow.session_id,
    ChallengeRow.tenant_id,
    ChallengeRow.methods,
)


class ChallengeRepository:
    def __init__(self, unit_of_work: UnitOfWork) -> None:
        self.unit_of_work = unit_of_work

    async def add(self, row: ChallengeRow) -> None:
        held = {name: value for name, value in vars(row).items() if not name.startswith("_")}
        await self.unit_of_work.execute(insert(ChallengeRow).values(**held))

    async def find(self, token_hash: bytes) -> Challenge | None:
        live = ChallengeRow.expires_at > now()
        row = await self.unit_of_work.row(select(*CHALLENGE).where(ChallengeRow.token_hash == token_hash, live))
        return Challenge(**row._mapping) if row is not None else None

    async def redeem(self, id: UUID) -> bool:
        """Once, whoever else tries at the same moment."""
        return await self.unit_of_work.execute(delete(ChallengeRow).where(ChallengeRow.id == id)) == 1
