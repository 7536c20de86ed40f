from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from msgspec import Meta, Struct

from tenantry.mail import EmailAddress

NewPassword = Annotated[str, Meta(min_length=8, max_length=128, examples=["correct horse battery staple"])]
GivenPassword = Annotated[str, Meta(max_length=1024, examples=["correct horse battery staple"])]
Secret = Annotated[str, Meta(min_length=1, max_length=512)]


class SignUp(Struct, forbid_unknown_fields=True):
    email: EmailAddress
    password: NewPassword
    name: Annotated[str, Meta(min_length=1, max_length=200, pattern=r"\S", examples=["Ada Lovelace"])]


class EmailVerification(Struct, forbid_unknown_fields=True):
    token: Secret


class VerificationResend(Struct, forbid_unknown_fields=True):
    email: EmailAddress


class Accepted(Struct):
    """The same answer whether or not the address is known."""

    status: Literal["verification_sent"] = "verification_sent"


class Login(Struct, forbid_unknown_fields=True):
    email: Annotated[str, Meta(max_length=254, examples=["ada@example.com"])]
    password: GivenPassword
    tenant_id: UUID | None = None


class TokenForm(Struct):
    """OAuth 2.0, RFC 6749 sections 4.3, 4.4 and 6."""

    grant_type: Literal["password", "refresh_token", "client_credentials"]
    username: Annotated[str, Meta(max_length=254)] | None = None
    password: GivenPassword | None = None
    refresh_token: Annotated[str, Meta(max_length=512)] | None = None
    client_id: Annotated[str, Meta(max_length=512)] | None = None
    """Of a service account."""
    client_secret: Annotated[str, Meta(max_length=1024)] | None = None
    """One of its API keys."""
    scope: Annotated[str, Meta(max_length=10_000)] | None = None


class Refresh(Struct, forbid_unknown_fields=True):
    refresh_token: Secret


class TenantSwitch(Struct, forbid_unknown_fields=True):
    tenant_id: UUID


class AccessToken(Struct):
    access_token: str
    token_type: Literal["Bearer"]
    expires_in: int
    """Seconds."""
    session_id: UUID
    tenant_id: UUID | None


class ClientToken(Struct):
    """Without a refresh token, RFC 6749 section 4.4.3: the client still has its key."""

    access_token: str
    token_type: Literal["Bearer"]
    expires_in: int
    """Seconds."""
    tenant_id: UUID


class TokenPair(Struct):
    access_token: str
    token_type: Literal["Bearer"]
    expires_in: int
    """Seconds."""
    refresh_token: str
    session_id: UUID
    tenant_id: UUID | None


class Me(Struct):
    id: UUID
    email: str
    name: str
    created_at: datetime


class Credentials(Struct):
    user_id: UUID
    password_hash: str
    disabled: bool
