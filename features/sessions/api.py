"""Opens, proves again and ends sessions, for those who find out who somebody is."""

from datetime import datetime
from uuid import UUID

from features.sessions.dtos import AccessToken, Proof, SessionRecord, TokenPair
from features.sessions.errors import InvalidRefreshToken
from features.sessions.repository import SessionRepository
from features.sessions.service import GUESSING, SessionService
from tenantry.db.session import UnitOfWork
from tenantry.visitor import Visitor

__all__ = (
    "GUESSING",
    "AccessToken",
    "InvalidRefreshToken",
    "Proof",
    "SessionRecord",
    "SessionService",
    "TokenPair",
    "end_sessions",
    "end_sessions_through",
    "forget_second_factor",
    "forget_visitors",
    "knows_network",
    "second_factor_of",
    "sessions_of",
)


async def end_sessions(unit_of_work: UnitOfWork, user_id: UUID, reason: str, *, but: UUID | None = None) -> int:
    """End all that are live, but for one; how many they were."""
    return await SessionRepository(unit_of_work).end_all(user_id, reason, but=but)


async def second_factor_of(unit_of_work: UnitOfWork, session_id: UUID) -> datetime | None:
    """When the session was last proven with one."""
    return await SessionRepository(unit_of_work).second_factor_at(session_id)


async def forget_second_factor(unit_of_work: UnitOfWork, user_id: UUID) -> None:
    """None of their sessions counts as proven with one any more."""
    await SessionRepository(unit_of_work).forget_second_factor(user_id)


async def knows_network(unit_of_work: UnitOfWork, user_id: UUID, visitor: Visitor) -> bool:
    """Whether this person logged in from the visitor's network, to a session that was used within the last 30 days."""
    return bool(visitor.network) and await SessionRepository(unit_of_work).knows_network(user_id, visitor.network)


async def sessions_of(unit_of_work: UnitOfWork, user_id: UUID) -> list[SessionRecord]:
    """All that are kept, those that have ended too."""
    return await SessionRepository(unit_of_work).records(user_id)


async def forget_visitors(unit_of_work: UnitOfWork, user_id: UUID) -> None:
    """With what and from where somebody came, who is gone for good."""
    await SessionRepository(unit_of_work).forget_visitors(user_id)


async def end_sessions_through(unit_of_work: UnitOfWork, connection_id: UUID, reason: str) -> None:
    """All that were opened by this connection to an identity provider."""
    await SessionRepository(unit_of_work).end_through(connection_id, reason)
