from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from msgspec import Meta, Struct

from tenantry.mail import EmailAddress
from tenantry.security.new_passwords import NewPassword

PersonName = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"\S", examples=["Ada Lovelace"])]

Secret = Annotated[str, Meta(min_length=1, max_length=512)]


class SignUp(Struct, forbid_unknown_fields=True):
    email: EmailAddress
    password: NewPassword
    name: PersonName


class NewAccount(Struct, forbid_unknown_fields=True):
    """As an operator makes one; without a password."""

    email: EmailAddress
    name: PersonName


class EmailVerification(Struct, forbid_unknown_fields=True):
    token: Secret


class VerificationResend(Struct, forbid_unknown_fields=True):
    email: EmailAddress


class Accepted(Struct):
    """The same answer whether or not the address is known."""

    status: Literal["verification_sent"] = "verification_sent"


class Account(Struct):
    id: UUID
    email: str
    name: str
    created_at: datetime


class Credentials(Struct):
    user_id: UUID
    password_hash: str | None
    disabled: bool
    has_second_factor: bool


class Person(Struct):
    email: str
    second_factor_at: datetime | None
