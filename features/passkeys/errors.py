from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from tenantry.errors import AppError, Conflict, NotFound, Unauthenticated, Unprocessable

_log = structlog.get_logger("features.passkeys")


class PasskeyRefused(Unauthenticated):
    """What exactly was wrong stands in the log: the answer must not tell whose passkeys there are."""

    code = "passkey_refused"
    title = "This passkey does not let you in; begin again"


class PasskeyUnacceptable(Unprocessable):
    code = "passkey_unacceptable"
    title = "This is not the new passkey that was asked for; begin again"


class PasskeyRegistered(Conflict):
    code = "passkey_registered"
    title = "This passkey is registered already"
    constraint = "uq_passkeys_credential_id"


class TooManyPasskeys(Conflict):
    code = "too_many_passkeys"
    title = "You have as many passkeys as one can have; remove one first"


class NoPasskey(Conflict):
    code = "no_passkey"
    title = "Your account has no passkey; show another second factor"


class PasskeyNotFound(NotFound):
    code = "passkey_not_found"
    title = "There is no such passkey"


@contextmanager
def refusing(otherwise: type[AppError]) -> Iterator[None]:
    """The parsers of what clients make up raise almost anything: JSON, CBOR, certificates, four formats of numbers."""
    try:
        yield
    except Exception as error:
        _log.warning("passkey.refused", reason=repr(error))
        raise otherwise from error
