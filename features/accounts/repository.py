from datetime import timedelta
from uuid import UUID

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from features.accounts.dtos import Account, Credentials, Person
from features.accounts.errors import AccountNotFound
from features.accounts.models import SignUpRow, UserRow
from tenantry.clock import now
from tenantry.db.repository import Repository
from tenantry.db.session import UnitOfWork
from tenantry.ids import new_id

CREDENTIALS = select(
    UserRow.id.label("user_id"),
    UserRow.password_hash,
    UserRow.disabled_at.is_not(None).label("disabled"),
    UserRow.second_factor_at.is_not(None).label("has_second_factor"),
)


class UserRepository(Repository[UserRow, Account]):
    not_found = AccountNotFound

    async def credentials(self, email: str) -> Credentials | None:
        row = await self.unit_of_work.row(CREDENTIALS.where(UserRow.email == email))
        return Credentials(**row._mapping) if row is not None else None

    async def credentials_of_user(self, user_id: UUID) -> Credentials | None:
        row = await self.unit_of_work.row(CREDENTIALS.where(UserRow.id == user_id))
        return Credentials(**row._mapping) if row is not None else None

    async def exists(self, email: str) -> bool:
        return await self.unit_of_work.scalar(select(UserRow.id).where(UserRow.email == email)) is not None

    async def id_of(self, email: str) -> UUID:
        """
        Raises:
            AccountNotFound: nobody has this normalized address.
        """
        user_id: UUID | None = await self.unit_of_work.scalar(select(UserRow.id).where(UserRow.email == email))
        if user_id is None:
            raise self.not_found
        return user_id

    async def set_password(self, user_id: UUID, password_hash: str) -> None:
        await self._set(user_id, password_hash=password_hash)

    async def set_address(self, user_id: UUID, email: str) -> None:
        await self._set(user_id, email=email)

    async def _set(self, user_id: UUID, **values: object) -> None:
        await self.unit_of_work.execute(update(UserRow).where(UserRow.id == user_id).values(values))

    async def create(self, email: str, name: str) -> UUID | None:
        values = {"id": new_id(), "email": email, "name": name, "created_at": now(), "updated_at": now()}
        adding = upsert(UserRow).values(**values).on_conflict_do_nothing(index_elements=["email"])
        id: UUID | None = await self.unit_of_work.scalar(adding.returning(UserRow.id))
        return id

    async def replace_hash(self, user_id: UUID, before: str | None, after: str) -> bool:
        """False where somebody else was faster: what was judged by the hash of before no longer holds."""
        unchanged = UserRow.password_hash.is_not_distinct_from(before)
        return (
            await self.unit_of_work.execute(
                update(UserRow).where(UserRow.id == user_id, unchanged).values(password_hash=after)
            )
            == 1
        )

    async def person(self, user_id: UUID) -> Person:
        chosen = select(UserRow.email, UserRow.second_factor_at).where(UserRow.id == user_id)
        row = await self.unit_of_work.row(chosen)
        if row is None:
            raise self.not_found
        return Person(**row._mapping)

    async def lock(self, user_id: UUID) -> None:
        await self.unit_of_work.execute(select(UserRow.id).where(UserRow.id == user_id).with_for_update())

    async def note_second_factor(self, user_id: UUID, *, has: bool) -> None:
        since = func.coalesce(UserRow.second_factor_at, now()) if has else None
        await self.unit_of_work.execute(update(UserRow).where(UserRow.id == user_id).values(second_factor_at=since))


class SignUpRepository:
    def __init__(self, unit_of_work: UnitOfWork) -> None:
        self.unit_of_work = unit_of_work

    async def add(self, email: str, name: str, password_hash: str, token_hash: bytes, lifetime: timedelta) -> None:
        await self.unit_of_work.execute(
            insert(SignUpRow).values(
                email=email,
                name=name,
                password_hash=password_hash,
                token_hash=token_hash,
                expires_at=now() + lifetime,
            )
        )

    async def renew_only(self, email: str, token_hash: bytes, lifetime: timedelta) -> bool:
        """Give the one sign-up of an address a new link.

        False when there is none, or more: which of them was the owner's own, nobody here can know.
        """
        pending = await self.unit_of_work.rows(
            select(SignUpRow.id).where(SignUpRow.email == email, SignUpRow.expires_at > now()).limit(2)
        )
        if len(pending) != 1:
            return False
        renewal = update(SignUpRow).where(SignUpRow.id == pending[0].id)
        await self.unit_of_work.execute(renewal.values(token_hash=token_hash, expires_at=now() + lifetime))
        return True

    async def forget(self, email: str) -> None:
        await self.unit_of_work.execute(delete(SignUpRow).where(SignUpRow.email == email))

    async def confirm(self, token_hash: bytes) -> SignUpRow | None:
        """Redeem a link, once; the address's other sign-ups lose theirs."""
        redeemed = await self.unit_of_work.row(
            delete(SignUpRow)
            .where(SignUpRow.token_hash == token_hash, SignUpRow.expires_at > now())
            .returning(SignUpRow.email, SignUpRow.name, SignUpRow.password_hash)
        )
        if redeemed is None:
            return None
        await self.forget(redeemed.email)
        return SignUpRow(**redeemed._mapping)
