from datetime import timedelta
from uuid import UUID

from sqlalchemy import delete, insert, select, update

from features.auth.dtos import Credentials, Me
from features.auth.models import RefreshTokenRow, SessionRow, SignUpRow, UserRow
from tenantry.clock import now
from tenantry.db.repository import Repository
from tenantry.db.session import UnitOfWork


class UserRepository(Repository[UserRow, Me]):
    async def credentials(self, email: str) -> Credentials | None:
        row = await self.unit_of_work.row(
            select(UserRow.id, UserRow.password_hash, UserRow.disabled_at).where(UserRow.email == email)
        )
        return Credentials(row.id, row.password_hash, row.disabled_at is not None) if row is not None else None

    async def exists(self, email: str) -> bool:
        return await self.unit_of_work.scalar(select(UserRow.id).where(UserRow.email == email)) is not None

    async def replace_hash(self, user_id: UUID, password_hash: str) -> None:
        await self.unit_of_work.execute(
            update(UserRow).where(UserRow.id == user_id).values(password_hash=password_hash)
        )


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

    async def confirm(self, token_hash: bytes) -> SignUpRow | None:
        """Redeem a link, once; the address's other sign-ups lose theirs."""
        redeemed = await self.unit_of_work.row(
            delete(SignUpRow)
            .where(SignUpRow.token_hash == token_hash, SignUpRow.expires_at > now())
            .returning(SignUpRow.email, SignUpRow.name, SignUpRow.password_hash)
        )
        if redeemed is None:
            return None
        await self.unit_of_work.execute(delete(SignUpRow).where(SignUpRow.email == redeemed.email))
        return SignUpRow(**redeemed._mapping)


class SessionRepository:
    def __init__(self, unit_of_work: UnitOfWork) -> None:
        self.unit_of_work = unit_of_work

    async def open(self, user_id: UUID, tenant_id: UUID | None, user_agent: str, lifetime: timedelta) -> UUID:
        opened: UUID = await self.unit_of_work.scalar(
            insert(SessionRow)
            .values(user_id=user_id, tenant_id=tenant_id, user_agent=user_agent, expires_at=now() + lifetime)
            .returning(SessionRow.id)
        )
        return opened

    async def end(self, session_id: UUID, reason: str) -> None:
        session = await self.locked(session_id)
        session.end(reason)
        await self.unit_of_work.flush()

    async def locked(self, session_id: UUID) -> SessionRow:
        session: SessionRow = await self.unit_of_work.entity(
            select(SessionRow).where(SessionRow.id == session_id).with_for_update()
        )
        return session

    async def last_tenant(self, user_id: UUID) -> UUID | None:
        tenant_id: UUID | None = await self.unit_of_work.scalar(
            select(SessionRow.tenant_id)
            .where(SessionRow.user_id == user_id, SessionRow.tenant_id.is_not(None))
            .order_by(SessionRow.last_used_at.desc())
            .limit(1)
        )
        return tenant_id

    async def switch(self, session_id: UUID, tenant_id: UUID) -> None:
        await self.unit_of_work.execute(
            update(SessionRow).where(SessionRow.id == session_id).values(tenant_id=tenant_id, last_used_at=now())
        )

    async def add_refresh_token(self, session_id: UUID, token_hash: bytes, parent_id: UUID | None = None) -> None:
        await self.unit_of_work.execute(
            insert(RefreshTokenRow).values(session_id=session_id, token_hash=token_hash, parent_id=parent_id)
        )

    async def refresh_token(self, token_hash: bytes) -> tuple[RefreshTokenRow, SessionRow] | None:
        """The token and its session, which stays locked: uses of one family wait for each other.

        None when there is no such token, or its account is disabled.
        """
        session_id = await self.unit_of_work.scalar(
            select(RefreshTokenRow.session_id)
            .join(SessionRow, SessionRow.id == RefreshTokenRow.session_id)
            .join(UserRow, UserRow.id == SessionRow.user_id)
            .where(RefreshTokenRow.token_hash == token_hash, UserRow.disabled_at.is_(None))
        )
        if session_id is None:
            return None
        session = await self.locked(session_id)
        token = await self.unit_of_work.entity(select(RefreshTokenRow).where(RefreshTokenRow.token_hash == token_hash))
        return (token, session) if token is not None else None

    async def supersede_unused_child(self, parent_id: UUID) -> bool:
        """True when the child of this token was never used; it is no longer good then."""
        unused = RefreshTokenRow.used_at.is_(None) & RefreshTokenRow.superseded_at.is_(None)
        superseded = await self.unit_of_work.execute(
            update(RefreshTokenRow).where(RefreshTokenRow.parent_id == parent_id, unused).values(superseded_at=now())
        )
        return superseded == 1
