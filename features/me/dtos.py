from datetime import datetime
from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from features.accounts.api import Account, PersonName
from features.sessions.api import SessionRecord
from features.tenants.api import MyTenant
from tenantry.mail import EmailAddress

Secret = Annotated[str, Meta(min_length=1, max_length=512)]


class MePatch(Struct, forbid_unknown_fields=True):
    name: PersonName | UnsetType = UNSET


class AddressChange(Struct, forbid_unknown_fields=True):
    email: EmailAddress
    """The new one."""


class AddressConfirmation(Struct, forbid_unknown_fields=True):
    token: Secret


class AddressChangeAccepted(Struct):
    """The same answer whether or not the new address is somebody's."""

    status: Literal["confirmations_sent"] = "confirmations_sent"


class AddressChangeProgress(Struct):
    status: Literal["waiting", "changed"]
    """`waiting` for the link that went to the other address."""


class PendingAddress(Struct):
    email: str
    created_at: datetime
    expires_at: datetime


class MyData(Struct):
    """All that is kept of a person and belongs to no tenant."""

    exported_at: datetime
    profile: Account
    has_password: bool
    has_second_factor: bool
    pending_address: PendingAddress | None
    tenants: list[MyTenant]
    sessions: list[SessionRecord]
