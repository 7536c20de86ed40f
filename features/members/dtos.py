from datetime import datetime
from typing import Annotated
from uuid import UUID

from msgspec import Meta, Struct

from features.tenants.api import RoleName
from tenantry.mail import EmailAddress


class Member(Struct):
    user_id: UUID
    name: str
    email: str
    role: RoleName
    created_at: datetime
    """When they joined."""

    @property
    def id(self) -> UUID:
        """Cursors end in it."""
        return self.user_id


class MemberPatch(Struct, forbid_unknown_fields=True):
    role: RoleName


class InvitationCreate(Struct, forbid_unknown_fields=True):
    email: EmailAddress
    role: RoleName


class InvitationAcceptance(Struct, forbid_unknown_fields=True):
    token: Annotated[str, Meta(min_length=1, max_length=512, description="From the mail")]


class Invitation(Struct):
    id: UUID
    email: str
    role: RoleName
    invited_by: UUID
    """A person, or a service account."""
    sent_at: datetime
    expires_at: datetime
    created_at: datetime
