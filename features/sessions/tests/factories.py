from datetime import timedelta

from polyfactory.factories.sqlalchemy_factory import SQLAlchemyFactory

from features.sessions.models import SessionRow
from tenantry.clock import now
from tenantry.testing import TenantHandle


class SessionFactory(SQLAlchemyFactory[SessionRow]):
    __set_relationships__ = False

    @classmethod
    async def of(cls, tenant: TenantHandle) -> SessionRow:
        """One more of the tenant's owner."""
        end = now() + timedelta(days=1)
        row = cls.build(
            user_id=tenant.owner.id, tenant_id=None, created_at=now(), last_used_at=now(), expires_at=end, ends_at=end,
            ended_at=None, holder=None, end_reason=None, connection_id=None, only_tenant_id=None, methods=[],
            authenticated_at=None, second_factor_at=None,
        )  # fmt: skip
        held: SessionRow = await tenant.has(cls, **{key: value for key, value in vars(row).items() if key[0] != "_"})
        return held
