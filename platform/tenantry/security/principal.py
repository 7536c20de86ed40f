"""Who claims to be here. A claim is proven by a credential, but holds only once the database agrees."""

from typing import Protocol
from uuid import UUID

import msgspec
from litestar.di import NamedDependency

__all__ = ("CredentialVerifier", "CurrentPrincipal", "Principal")


class Principal(msgspec.Struct, frozen=True):
    user_id: UUID
    session_id: UUID
    tenant_id: UUID | None
    """The one tenant that the credential is good for; none when its holder belongs to none yet."""

    @property
    def tenant(self) -> UUID:
        """The active tenant, for routes whose policy is a permission: without one they do not run."""
        assert self.tenant_id is not None
        return self.tenant_id


class CredentialVerifier(Protocol):
    def verify(self, credential: bytes) -> Principal:
        """Check a bearer credential without I/O; raises `Unauthenticated`."""


CurrentPrincipal = NamedDependency[Principal]
