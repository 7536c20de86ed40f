"""Who claims to be here. A claim is proven by a credential, but holds only once the database agrees."""

from datetime import datetime
from typing import Protocol
from uuid import UUID

import msgspec
from litestar.di import NamedDependency

__all__ = ("CredentialVerifier", "CurrentPrincipal", "KeyClaim", "Principal")


class KeyClaim(msgspec.Struct, frozen=True):
    """An API key that the caller claims to hold."""

    id: UUID
    secret_hash: bytes | None
    """None where a token of ours, issued for the key, speaks for it."""


class Principal(msgspec.Struct, frozen=True):
    subject_id: UUID
    """Of a person, or of a service account."""
    session_id: UUID | None
    """None where the credential is, or comes from, an API key."""
    tenant_id: UUID | None
    """The one tenant that the credential is good for; none when its holder belongs to none yet."""
    key: KeyClaim | None = None
    authenticated_at: datetime | None = None
    """When a person last proved here who they are; none where nothing but another's word vouches for it."""
    holder: str | None = None
    """Thumbprint of the key without whose proof the credential is good for nothing; none where it needs no proof."""

    @property
    def tenant(self) -> UUID:
        """The active tenant, for routes whose policy is a permission: without one they do not run."""
        assert self.tenant_id is not None
        return self.tenant_id

    @property
    def session(self) -> UUID:
        """For routes whose policy is `signed_in()`: without one they do not run."""
        assert self.session_id is not None
        return self.session_id


class CredentialVerifier(Protocol):
    def verify(self, credential: bytes) -> Principal:
        """Check a bearer credential without I/O; raises `Unauthenticated`."""

    async def learn(self) -> None:
        """Look for keys that are new, after `UnknownKey`; then it is worth to check once more."""


CurrentPrincipal = NamedDependency[Principal]
