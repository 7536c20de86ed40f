from typing import Annotated, Literal

from msgspec import Meta, Struct

from tenantry.mail import EmailAddress
from tenantry.security.new_passwords import NewPassword

Secret = Annotated[str, Meta(min_length=1, max_length=512)]
GivenPassword = Annotated[str, Meta(max_length=1024, examples=["correct horse battery staple"])]


class PasswordChange(Struct, forbid_unknown_fields=True):
    current_password: GivenPassword
    password: NewPassword
    """The new one."""


class PasswordForgotten(Struct, forbid_unknown_fields=True):
    email: EmailAddress


class PasswordReset(Struct, forbid_unknown_fields=True):
    token: Secret
    password: NewPassword
    """The new one."""


class ResetAccepted(Struct):
    """The same answer whether or not the address is known."""

    status: Literal["reset_sent"] = "reset_sent"
