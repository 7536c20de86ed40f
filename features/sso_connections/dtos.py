from datetime import datetime
from typing import Annotated
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType

from features.roles.api import RoleName

Name = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"\S", examples=["Acme's Keycloak"])]
Issuer = Annotated[
    str,
    Meta(
        pattern=r"^https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[A-Za-z0-9._~/-]*)?$(?!\n)",
        max_length=500,
        description="As its discovery document spells it; https in production",
        examples=["https://idp.example.com/realms/acme"],
    ),
]
ClientId = Annotated[str, Meta(min_length=1, max_length=500, pattern=r"^[\x21-\x7e]+$(?!\n)", examples=["tenantry"])]
ClientSecret = Annotated[str, Meta(min_length=1, max_length=1000, pattern=r"^[\x20-\x7e]+$(?!\n)")]
Domain = Annotated[
    str,
    Meta(
        pattern=r"^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9-]{2,63}$(?!\n)",
        max_length=253,
        description="In lower case, internationalised ones in Punycode",
        examples=["example.com"],
    ),
]
Domains = Annotated[list[Domain], Meta(max_length=50)]


class ConnectionCreate(Struct, forbid_unknown_fields=True):
    name: Name
    issuer: Issuer
    client_id: ClientId
    client_secret: ClientSecret
    default_role: RoleName
    """Of whoever comes by it for the first time."""
    domains: Domains = []
    required: bool = False
    """All but owners must log in by it."""


class ConnectionPatch(Struct, forbid_unknown_fields=True):
    name: Name | UnsetType = UNSET
    issuer: Issuer | UnsetType = UNSET
    client_id: ClientId | UnsetType = UNSET
    client_secret: ClientSecret | UnsetType = UNSET
    default_role: RoleName | UnsetType = UNSET
    domains: Domains | UnsetType = UNSET
    required: bool | UnsetType = UNSET


class StoredConnection(Struct):
    """What the table holds and may be told; the secret never is."""

    id: UUID
    name: str
    issuer: str
    client_id: str
    default_role: RoleName
    domains: list[str]
    created_at: datetime
    updated_at: datetime


class Connection(StoredConnection):
    confirmed_domains: list[str]
    """Those that the operator has confirmed: only addresses of these lead to it, and only they get new accounts."""
    required: bool
    login_url: str
    """Where a log-in by it begins."""


class KnownConnection(Struct):
    """All that a log-in by it needs."""

    id: UUID
    tenant_id: UUID
    issuer: str
    client_id: str
    client_secret: str
    default_role: str
    confirmed_domains: list[str]
