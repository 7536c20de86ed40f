from datetime import timedelta
from uuid import UUID

from sqlalchemy import delete, insert, select, update

from features.passkeys.dtos import Descriptor, KnownPasskey, Passkey
from features.passkeys.errors import PasskeyNotFound
from features.passkeys.models import CeremonyRow, PasskeyRow
from tenantry.clock import now
from tenantry.db.session import UnitOfWork
from tenantry.security.secrets import digest

LIFETIME = timedelta(minutes=5)
PRUNED = 20
VIEW = (PasskeyRow.id, PasskeyRow.name, PasskeyRow.backed_up, PasskeyRow.created_at, PasskeyRow.last_used_at)


class PasskeyRepository:
    def __init__(self, unit_of_work: UnitOfWork) -> None:
        self.unit_of_work = unit_of_work

    async def of(self, user_id: UUID) -> list[Passkey]:
        chosen = select(*VIEW).where(PasskeyRow.user_id == user_id).order_by(PasskeyRow.created_at, PasskeyRow.id)
        return await self.unit_of_work.structs(chosen, Passkey)

    async def descriptors(self, user_id: UUID) -> list[Descriptor]:
        chosen = select(PasskeyRow.credential_id, PasskeyRow.transports).where(PasskeyRow.user_id == user_id)
        return await self.unit_of_work.structs(chosen, Descriptor)

    async def add(self, row: PasskeyRow) -> None:
        held = {name: value for name, value in vars(row).items() if not name.startswith("_")}
        await self.unit_of_work.execute(insert(PasskeyRow).values(**held))

    async def rename(self, user_id: UUID, id: UUID, name: str) -> Passkey:
        own = PasskeyRow.id == id, PasskeyRow.user_id == user_id
        row = await self.unit_of_work.row(update(PasskeyRow).where(*own).values(name=name).returning(*VIEW))
        if row is None:
            raise PasskeyNotFound
        return Passkey(**row._mapping)

    async def known(self, credential_id: bytes) -> KnownPasskey | None:
        chosen = select(PasskeyRow.id, PasskeyRow.user_id, PasskeyRow.public_key, PasskeyRow.sign_count)
        row = await self.unit_of_work.row(chosen.where(PasskeyRow.credential_id == credential_id))
        return KnownPasskey(**row._mapping) if row is not None else None

    async def count(self, id: UUID, sign_count: int) -> bool:
        """Of a signature; False where the authenticator has counted further already: there are two of it."""
        # Those that do not count say 0 every time.
        counts = PasskeyRow.sign_count < (sign_count or 1)
        counting = update(PasskeyRow).where(PasskeyRow.id == id, counts)
        return await self.unit_of_work.execute(counting.values(sign_count=sign_count, last_used_at=now())) == 1


class CeremonyRepository:
    def __init__(self, unit_of_work: UnitOfWork) -> None:
        self.unit_of_work = unit_of_work

    async def begin(self, challenge: bytes, purpose: str, user_id: UUID | None) -> None:
        """And forget some that nobody has finished, so that there are never many."""
        over = select(CeremonyRow.challenge_hash).where(CeremonyRow.expires_at < now()).limit(PRUNED)
        hashes = over.with_for_update(skip_locked=True)
        await self.unit_of_work.execute(delete(CeremonyRow).where(CeremonyRow.challenge_hash.in_(hashes)))
        values = {"challenge_hash": digest(challenge.hex()), "purpose": purpose, "user_id": user_id}
        await self.unit_of_work.execute(insert(CeremonyRow).values(**values, expires_at=now() + LIFETIME))

    async def redeem(self, challenge: bytes, purpose: str, user_id: UUID | None) -> bool:
        """Once, for what and for whom it was begun."""
        same = CeremonyRow.challenge_hash == digest(challenge.hex()), CeremonyRow.purpose == purpose
        whose = CeremonyRow.user_id.is_not_distinct_from(user_id)
        redemption = delete(CeremonyRow).where(*same, whose, CeremonyRow.expires_at > now())
        return await self.unit_of_work.execute(redemption) == 1
