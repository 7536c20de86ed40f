from typing import Any

from polyfactory.factories.sqlalchemy_factory import SQLAlchemyFactory
from sqlalchemy import text

from features.roles.models import CustomRoleRow
from tenantry.clock import now
from tenantry.ids import new_id
from tenantry.testing import Account, TenantHandle

ASSIGN = text("UPDATE memberships SET role = NULL, custom_role = :role WHERE user_id = :user_id")


class CustomRoleFactory(SQLAlchemyFactory[CustomRoleRow]):
    __model__ = CustomRoleRow
    __set_relationships__ = False
    __set_foreign_keys__ = False

    id = new_id
    created_at = now
    updated_at = now
    description = ""


async def role_of(tenant: TenantHandle, account: Account, *permissions: str, name: str = "custom") -> Any:
    """A new custom role, which the member has from now on."""
    role = await tenant.has(CustomRoleFactory, name=name, permissions=[*permissions])
    await tenant.run(ASSIGN.bindparams(role=name, user_id=account.id))
    return role
