from typing import Any

from polyfactory.factories.sqlalchemy_factory import SQLAlchemyFactory

from features.sso_connections.models import ConnectionRow
from tenantry.clock import now
from tenantry.ids import new_id


class ConnectionFactory(SQLAlchemyFactory[ConnectionRow]):
    """To a provider that nobody asks; its secret opens nothing."""

    __model__ = ConnectionRow
    __set_relationships__ = False
    __set_foreign_keys__ = False

    id = new_id
    created_at = now
    updated_at = now
    issuer = "https://idp.example"
    domains = list

    @classmethod
    def build(cls, *_: Any, **values: Any) -> ConnectionRow:
        """A role is a foreign key, so it is not made by itself."""
        return super().build(**{"built_in_role": "member", **values})
