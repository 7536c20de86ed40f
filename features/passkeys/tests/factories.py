"""Rows of passkeys, for the proofs that nobody sees another's."""

from polyfactory.factories.sqlalchemy_factory import SQLAlchemyFactory
from sqlalchemy import text

from features.passkeys.models import PasskeyRow
from tenantry.clock import now
from tenantry.ids import new_id
from tenantry.testing import TenantHandle

INSERT_FACTOR = text(
    "INSERT INTO second_factors (id, user_id, kind, created_at) VALUES (:id, :user_id, 'passkey', :now)"
)


class PasskeyFactory(SQLAlchemyFactory[PasskeyRow]):
    __set_relationships__ = False

    @classmethod
    async def of(cls, tenant: TenantHandle) -> PasskeyRow:
        """One of the tenant's owner."""
        row = cls.build(
            user_id=tenant.owner.id, credential_id=new_id().bytes, sign_count=0, transports=[], created_at=now(),
            last_used_at=None,
        )  # fmt: skip
        await tenant.run(INSERT_FACTOR.bindparams(id=row.id, user_id=row.user_id, now=now()))
        held: PasskeyRow = await tenant.has(cls, **{key: value for key, value in vars(row).items() if key[0] != "_"})
        return held
