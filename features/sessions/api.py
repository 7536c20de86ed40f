"""Opens, proves again and ends sessions, for those who find out who somebody is."""

from uuid import UUID

from features.sessions.dtos import AccessToken, Proof, TokenPair
from features.sessions.errors import InvalidRefreshToken
from features.sessions.repository import SessionRepository
from features.sessions.service import SessionService
from tenantry.db.session import UnitOfWork

__all__ = ("AccessToken", "InvalidRefreshToken", "Proof", "SessionService", "TokenPair", "end_sessions")


async def end_sessions(unit_of_work: UnitOfWork, user_id: UUID, reason: str, *, but: UUID | None = None) -> int:
    """End all that are live, but for one; how many they were."""
    return await SessionRepository(unit_of_work).end_all(user_id, reason, but=but)
