from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

from tenantry.security.principal import Principal
from tenantry.visitor import Visitor

Code = Annotated[str, Meta(min_length=6, max_length=64, examples=["123456"])]


class Factors(Struct):
    since: datetime | None
    """Since when a log-in takes a second step."""
    totp: bool
    passkeys: int
    recovery_codes_left: int


class NewFactor(Struct, frozen=True):
    """One that somebody has just shown."""

    kind: str
    name: str
    """As its owner is told of it."""
    methods: tuple[str, ...]
    """As RFC 8176 names them."""


class Change(Struct, frozen=True):
    """Of somebody's factors: who makes it, from where, and whether their other sessions end with it."""

    by: Principal
    visitor: Visitor
    ends_others: bool


class TotpEnrolment(Struct):
    """Only this answer has the secret. It counts for nothing until a code of it has confirmed it."""

    secret: str
    """In base32, to be typed where no camera is at hand."""
    uri: str
    qr_svg: str


class TotpConfirmation(Struct, forbid_unknown_fields=True):
    code: Code


class FactorAdded(Struct):
    recovery_codes: list[str] | None
    """Of the first factor; only this answer has them. With a further one, those of before stay good."""


class NewRecoveryCodes(Struct):
    recovery_codes: list[str]


class Verification(Struct, forbid_unknown_fields=True):
    challenge: Annotated[str, Meta(min_length=1, max_length=512)]
    """Of the problem `second_factor_required`."""
    code: Code
    """Of the authenticator app, or a recovery code."""
