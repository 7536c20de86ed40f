"""Rows of identities, for the proofs that nobody sees another's."""

from polyfactory.factories.sqlalchemy_factory import SQLAlchemyFactory

from features.identities.models import IdentityRow
from tenantry.clock import now
from tenantry.testing import TenantHandle


class IdentityFactory(SQLAlchemyFactory[IdentityRow]):
    __set_relationships__ = False

    @classmethod
    async def of(cls, tenant: TenantHandle) -> IdentityRow:
        """One of the tenant's owner."""
        held: IdentityRow = await tenant.has(cls, user_id=tenant.owner.id, created_at=now(), last_used_at=None)
        return held
