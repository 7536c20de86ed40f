"""What a principal may do in its tenant at this moment: nobody grants what they do not hold."""

from uuid import UUID

from sqlalchemy import Text, Uuid, bindparam, func, select
from sqlalchemy.dialects.postgresql import ARRAY

from tenantry.db.session import UnitOfWork
from tenantry.security.principal import Principal

__all__ = ("held_permissions",)

SUBJECT, KEY = bindparam("subject", type_=Uuid()), bindparam("key", type_=Uuid())
HELD = select(func.held_permissions(SUBJECT, KEY, type_=ARRAY(Text())))


async def held_permissions(unit_of_work: UnitOfWork, principal: Principal) -> frozenset[str]:
    """Of its role, and where it came with an API key, of those only the key's scopes; the tenant must be bound."""
    key: UUID | None = principal.key.id if principal.key else None
    return frozenset(await unit_of_work.scalar(HELD, {"subject": principal.subject_id, "key": key}))
