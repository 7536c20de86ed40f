import secrets
from datetime import datetime
from typing import Any

from polyfactory.factories.sqlalchemy_factory import SQLAlchemyFactory

from features.members.models import LIFETIME, MAIL_INTERVAL, InvitationRow
from tenantry.clock import now
from tenantry.ids import new_id


class InvitationFactory(SQLAlchemyFactory[InvitationRow]):
    """With a token that nobody knows, and sent long enough ago to be sent again."""

    __model__ = InvitationRow
    __set_relationships__ = False
    __set_foreign_keys__ = False

    id = new_id
    created_at = now
    updated_at = now

    @classmethod
    def build(cls, *_: Any, **values: Any) -> InvitationRow:
        """A role is a foreign key, so it is not made by itself."""
        return super().build(**{"built_in_role": "member"} | values)

    @classmethod
    def email(cls) -> str:
        return f"invited-{new_id().hex[-12:]}@example.com"

    @classmethod
    def token_hash(cls) -> bytes:
        return secrets.token_bytes(32)

    @classmethod
    def sent_at(cls) -> datetime:
        return now() - MAIL_INTERVAL

    @classmethod
    def expires_at(cls) -> datetime:
        return now() + LIFETIME
