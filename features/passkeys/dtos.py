from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from msgspec import Meta, Struct
from webauthn.helpers.structs import AuthenticatorTransport, PublicKeyCredentialDescriptor

Name = Annotated[str, Meta(min_length=1, max_length=100, pattern=r"\S", examples=["Ada's phone"])]
Credential = Annotated[
    dict[str, Any], Meta(description="What `toJSON()` of the browser's `PublicKeyCredential` gives", examples=[{}])
]
ChallengeToken = Annotated[str, Meta(min_length=1, max_length=512)]


class Passkey(Struct):
    id: UUID
    name: str
    backed_up: bool
    """Whether its provider keeps copies, so that it is not lost with a device."""
    created_at: datetime
    last_used_at: datetime | None


class Passkeys(Struct):
    items: list[Passkey]


class Ceremony(Struct):
    """For `PublicKeyCredential.parseCreationOptionsFromJSON`, or `parseRequestOptionsFromJSON`, in the browser."""

    public_key: dict[str, Any]


class PasskeyCreate(Struct, forbid_unknown_fields=True):
    credential: Credential
    name: Name


class PasskeyPatch(Struct, forbid_unknown_fields=True):
    name: Name


class PasskeyCreated(Struct):
    id: UUID
    name: str
    recovery_codes: list[str] | None
    """Of the first factor; only this answer has them."""


class PasskeyLogin(Struct, forbid_unknown_fields=True):
    credential: Credential
    tenant_id: UUID | None = None


class SecondStep(Struct, forbid_unknown_fields=True):
    challenge: ChallengeToken
    """Of the problem `second_factor_required`."""


class SecondStepProof(Struct, forbid_unknown_fields=True):
    challenge: ChallengeToken
    credential: Credential


class KnownPasskey(Struct):
    """What a signature is checked with."""

    id: UUID
    user_id: UUID
    public_key: bytes
    sign_count: int


class Descriptor(Struct):
    """How a browser finds it."""

    credential_id: bytes
    transports: list[str]

    def for_browser(self) -> PublicKeyCredentialDescriptor:
        known = {each.value for each in AuthenticatorTransport}
        transports = [AuthenticatorTransport(name) for name in self.transports if name in known]
        return PublicKeyCredentialDescriptor(id=self.credential_id, transports=transports or None)


def told(name: str) -> str:
    """A passkey, as its owner is told of it."""
    return f"the passkey \N{LEFT DOUBLE QUOTATION MARK}{name}\N{RIGHT DOUBLE QUOTATION MARK}"
