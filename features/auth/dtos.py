from typing import Annotated, Literal
from uuid import UUID

from msgspec import Meta, Struct

GivenPassword = Annotated[str, Meta(max_length=1024, examples=["correct horse battery staple"])]


class Login(Struct, forbid_unknown_fields=True):
    email: Annotated[str, Meta(max_length=254, examples=["ada@example.com"])]
    password: GivenPassword
    tenant_id: UUID | None = None


class Reauthentication(Struct, forbid_unknown_fields=True):
    password: GivenPassword


class TokenForm(Struct):
    """OAuth 2.0, RFC 6749 sections 4.3, 4.4 and 6."""

    grant_type: Literal["password", "refresh_token", "client_credentials"]
    username: Annotated[str, Meta(max_length=254, examples=["ada@example.com"])] | None = None
    password: GivenPassword | None = None
    refresh_token: Annotated[str, Meta(max_length=512)] | None = None
    client_id: Annotated[str, Meta(max_length=512)] | None = None
    """Of a service account."""
    client_secret: Annotated[str, Meta(max_length=1024)] | None = None
    """One of its API keys."""
    scope: Annotated[str, Meta(max_length=10_000)] | None = None


class ClientToken(Struct):
    """Without a refresh token, RFC 6749 section 4.4.3: the client still has its key."""

    access_token: str
    token_type: Literal["Bearer", "DPoP"]
    expires_in: int
    """Seconds."""
    tenant_id: UUID


class Challenge(Struct):
    """A log-in that waits for its second step."""

    id: UUID
    user_id: UUID
    session_id: UUID | None
    """The session whose owner proves again who they are; none where one is to be opened."""
    tenant_id: UUID | None
    """The tenant that was asked for."""
    methods: list[str]
    """The first step."""
