from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from msgspec import Meta, Struct

Secret = Annotated[str, Meta(min_length=1, max_length=512)]


class Refresh(Struct, forbid_unknown_fields=True):
    refresh_token: Secret


class TenantSwitch(Struct, forbid_unknown_fields=True):
    tenant_id: UUID


class AccessToken(Struct, kw_only=True, omit_defaults=True):
    access_token: str = ""
    """Absent where it is in a cookie."""
    token_type: Literal["Bearer", "DPoP"]
    """`DPoP` where the request for it came with a proof, without which the token is good for nothing (RFC 9449)."""
    expires_in: int
    """Seconds."""
    session_id: UUID
    tenant_id: UUID | None
    csrf_token: str = ""
    """Only where the credential is a cookie: what `X-CSRF-Token` has to say."""


class SessionRecord(Struct):
    """What is kept of a session, for its owner."""

    id: UUID
    user_agent: str
    address: str
    methods: list[str]
    created_at: datetime
    last_used_at: datetime
    ended_at: datetime | None
    end_reason: str | None


class TokenPair(AccessToken, kw_only=True, omit_defaults=True):
    refresh_token: str = ""
    """Absent where it is in a cookie."""


class CsrfToken(Struct):
    csrf_token: str


class Session(Struct):
    """Where somebody is logged in."""

    id: UUID
    device: str
    """As its user agent calls itself: a hint for people, and no proof."""
    address: str
    """From which it was opened, or last refreshed."""
    created_at: datetime
    last_used_at: datetime
    """When it was opened, refreshed or switched."""
    expires_at: datetime
    """Unless it is used until then."""
    methods: list[str]
    """How they have proven who they are, as RFC 8176 names it."""
    is_current: bool


class Sessions(Struct):
    items: list[Session]


class Proof(Struct, frozen=True):
    """How somebody has proven who they are."""

    methods: tuple[str, ...]
    """As RFC 8176 names them: `pwd`, `otp`, `hwk` …"""
    has_second_factor: bool = False
    connection_id: UUID | None = None
    """The connection to another identity provider, where that one has proven it."""
    only_tenant_id: UUID | None = None
    """The one tenant that trusts that provider: the session is good for no other."""
    at: datetime | None = None
    """When, if it was not just now."""


class Origin(Struct, frozen=True):
    """The connection by which a session was opened, and the tenant that it is confined to by that."""

    connection_id: UUID | None
    only_tenant_id: UUID | None
