import base64
import hashlib
import hmac
from typing import Annotated
from uuid import UUID

from msgspec import Meta, Struct

OneTime = Annotated[str, Meta(min_length=1, max_length=512)]
Verifier = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._~-]{43,128}$(?!\n)", description="RFC 7636")]
Challenge = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{43}$(?!\n)", description="RFC 7636, S256")]
ReturnUrl = Annotated[str, Meta(min_length=1, max_length=2000)]


class Completion(Struct, forbid_unknown_fields=True):
    code: OneTime
    code_verifier: Verifier | None = None
    """Where the log-in began with a `code_challenge`; else the cookie of the browser is asked for."""


class ProofStart(Struct, forbid_unknown_fields=True):
    return_to: ReturnUrl | None = None


class LinkStart(ProofStart):
    connection_id: UUID | None = None
    """Of the active tenant; else the provider of the operator."""


class Authorization(Struct):
    authorization_url: str


class Flow(Struct):
    """A log-in on its way, as it was begun."""

    id: UUID
    browser_hash: bytes
    sealed: bytes
    """Nonce, PKCE verifier and, once it is there, the provider's code."""
    tenant_id: UUID | None
    connection_id: UUID | None
    """None where the operator's provider is asked."""
    issuer: str
    requires_iss: bool
    return_to: str
    challenge: str | None
    session_id: UUID | None
    """Of the person who links an identity, or proves again who they are."""

    def is_of(self, verifier: str | None, browser_hash: bytes) -> bool:
        """The client that began it knows the verifier, RFC 7636; without a challenge, the browser has the cookie."""
        if self.challenge is None:
            return hmac.compare_digest(self.browser_hash, browser_hash)
        hashed = hashlib.sha256((verifier or "").encode()).digest()
        return hmac.compare_digest(self.challenge, base64.urlsafe_b64encode(hashed).decode().rstrip("="))


class Answer(Struct, frozen=True):
    """What a provider sends a browser back with."""

    code: str | None
    error: str | None
    iss: str | None

    def is_of(self, flow: Flow) -> bool:
        """Of the provider that was asked, RFC 9207."""
        return self.iss == flow.issuer or (self.iss is None and not flow.requires_iss)


class Destination(Struct, frozen=True):
    """Which provider is asked, and where the browser ends up."""

    tenant_id: UUID | None
    connection_id: UUID | None
    return_to: str | None
    challenge: str | None
