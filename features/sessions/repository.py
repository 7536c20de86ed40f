from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, column, exists, insert, or_, select, table, update
from sqlalchemy.orm import aliased

from features.sessions.dtos import Origin, Proof, Session, SessionRecord
from features.sessions.models import RefreshTokenRow, SessionRow, device_of
from tenantry.clock import now
from tenantry.db.session import UnitOfWork
from tenantry.limits.address import network_of
from tenantry.visitor import Visitor

MOST_LISTED = 200
REMEMBERED = timedelta(days=30)
MOST_KNOWN = 100
BY_ITS_OWNER = "ended_by_its_owner"
USERS = table("users", column("id"), column("disabled_at"))


class SessionRepository:
    def __init__(self, unit_of_work: UnitOfWork) -> None:
        self.unit_of_work = unit_of_work

    async def open(
        self,
        user_id: UUID,
        tenant_id: UUID | None,
        visitor: Visitor,
        proof: Proof,
        holder: str | None,
        *,
        idle: timedelta,
        longest: timedelta,
    ) -> SessionRow:
        moment = now()
        session = SessionRow(
            user_id=user_id,
            tenant_id=tenant_id,
            user_agent=visitor.user_agent,
            address=visitor.address,
            opened_from=visitor.address,
            expires_at=moment + min(idle, longest),
            ends_at=moment + longest,
            methods=[*proof.methods],
            authenticated_at=None if proof.only_tenant_id else moment,
            second_factor_at=moment if proof.has_second_factor else None,
            connection_id=proof.connection_id,
            only_tenant_id=proof.only_tenant_id,
            holder=holder,
        )
        held = {name: value for name, value in vars(session).items() if not name.startswith("_")}
        session.id = await self.unit_of_work.scalar(insert(SessionRow).values(**held).returning(SessionRow.id))
        return session

    async def origin(self, session_id: UUID) -> Origin:
        chosen = select(SessionRow.connection_id, SessionRow.only_tenant_id).where(SessionRow.id == session_id)
        (origin,) = await self.unit_of_work.structs(chosen, Origin)
        return origin

    async def end(self, session_id: UUID, reason: str) -> None:
        session = await self.locked(session_id)
        session.end(reason)
        await self.unit_of_work.flush()

    async def end_all(self, user_id: UUID, reason: str, *, but: UUID | None = None) -> int:
        """Those that are live; how many they were."""
        return await self._end(reason, SessionRow.user_id == user_id, *([SessionRow.id != but] if but else []))

    async def end_seen(self, user_id: UUID, by: UUID, *, only: UUID | None = None) -> int:
        """The one, or all others, of those that a session of their owner sees."""
        chosen = SessionRow.id == only if only else SessionRow.id != by
        return await self._end(BY_ITS_OWNER, SessionRow.user_id == user_id, is_seen(by), chosen)

    async def _end(self, reason: str, *which: ColumnElement[bool]) -> int:
        ending = update(SessionRow).where(is_live(), *which)
        return await self.unit_of_work.execute(ending.values(ended_at=now(), end_reason=reason))

    async def second_factor_at(self, session_id: UUID) -> datetime | None:
        proven = select(SessionRow.second_factor_at).where(SessionRow.id == session_id)
        moment: datetime | None = await self.unit_of_work.scalar(proven)
        return moment

    async def forget_second_factor(self, user_id: UUID) -> None:
        proven = SessionRow.user_id == user_id, SessionRow.second_factor_at.is_not(None)
        await self.unit_of_work.execute(update(SessionRow).where(*proven).values(second_factor_at=None))

    async def live(self, user_id: UUID, current: UUID) -> list[Session]:
        """Of one person, the last used first."""
        names = [name for name in Session.__struct_fields__ if name not in ("device", "is_current")]
        rows = await self.unit_of_work.rows(
            select(SessionRow.user_agent, *(getattr(SessionRow, name) for name in names))
            .where(SessionRow.user_id == user_id, is_live(), is_seen(current))
            .order_by(SessionRow.last_used_at.desc(), SessionRow.id)
            .limit(MOST_LISTED)
        )
        return [
            Session(
                **{name: getattr(row, name) for name in names},
                device=device_of(row.user_agent),
                is_current=row.id == current,
            )
            for row in rows
        ]

    async def knows_network(self, user_id: UUID, network: str) -> bool:
        """Whether this person has opened a session there that was used within the last 30 days.

        By a secret of their own: one that a tenant's provider vouches for is the word of somebody else.
        """
        rows = await self.unit_of_work.rows(
            select(SessionRow.opened_from)
            .where(
                SessionRow.user_id == user_id,
                SessionRow.only_tenant_id.is_(None),
                SessionRow.last_used_at > now() - REMEMBERED,
                SessionRow.opened_from != "",
            )
            .distinct()
        )
        return network in {network_of(row.opened_from) for row in rows}

    async def records(self, user_id: UUID) -> list[SessionRecord]:
        """Of all sessions, those that have ended too."""
        chosen = select(*(getattr(SessionRow, field) for field in SessionRecord.__struct_fields__))
        mine = chosen.where(SessionRow.user_id == user_id).order_by(SessionRow.created_at)
        return await self.unit_of_work.structs(mine, SessionRecord)

    async def forget_visitors(self, user_id: UUID) -> None:
        forgetting = update(SessionRow).where(SessionRow.user_id == user_id)
        await self.unit_of_work.execute(forgetting.values(user_agent="", address="", opened_from=""))

    async def end_through(self, connection_id: UUID, reason: str) -> None:
        by_it = (SessionRow.connection_id == connection_id) & SessionRow.ended_at.is_(None)
        await self.unit_of_work.execute(update(SessionRow).where(by_it).values(ended_at=now(), end_reason=reason))

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

    async def visitors(self, user_id: UUID) -> list[Visitor]:
        """Of their last sessions."""
        last = select(SessionRow.user_agent, SessionRow.address).where(SessionRow.user_id == user_id)
        return await self.unit_of_work.structs(last.order_by(SessionRow.last_used_at.desc()).limit(MOST_KNOWN), Visitor)

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
            .join(USERS, USERS.c.id == SessionRow.user_id)
            .where(RefreshTokenRow.token_hash == token_hash, USERS.c.disabled_at.is_(None))
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


def is_seen(by: UUID) -> ColumnElement[bool]:
    """A session that is confined to a tenant sees those that are, too: the others are none of that tenant's matters."""
    seeing = aliased(SessionRow)
    of_tenant = or_(seeing.only_tenant_id.is_(None), seeing.only_tenant_id == SessionRow.only_tenant_id)
    return exists().where(seeing.id == by, of_tenant)


def is_live() -> ColumnElement[bool]:
    return SessionRow.ended_at.is_(None) & (SessionRow.expires_at > now())
