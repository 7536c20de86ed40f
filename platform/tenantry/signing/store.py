"""The signing keys of the database: what workers read, and what operators do with them, as the owner of the tables."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, cast

import structlog
from cryptography.hazmat.primitives import serialization
from sqlalchemy import Connection, create_engine, insert, select, text, update

from tenantry.clock import now
from tenantry.config import Settings
from tenantry.db.database import Database
from tenantry.db.engine import migration_url
from tenantry.db.roles import OWNER_ROLE
from tenantry.errors import Conflict, NotFound
from tenantry.security.keys import (
    LONGEST_TOKEN,
    Algorithm,
    KeyRing,
    PrivateKey,
    SigningKey,
    generate,
    private_bytes,
    public_bytes,
)
from tenantry.security.vault import CannotOpen, Vault
from tenantry.signing.models import PURPOSE, SigningKeyRow

__all__ = ("PUBLISHED_BEFORE", "add_key", "all_keys", "hold_stored_keys", "load_keys", "retirement_of", "withdraw_key")

_log = structlog.get_logger("tenantry.keys")
PUBLISHED_BEFORE = timedelta(minutes=10)
"""How long a key is published before it signs: longer than anybody keeps the set of keys, and workers look often."""
ROWS = select(*SigningKeyRow.__table__.columns).order_by(SigningKeyRow.signs_from)


class NoSuchKey(NotFound):
    code = "no_such_key"
    title = "No signing key of the database has this id, or it is withdrawn"


class LastKey(Conflict):
    code = "last_key"
    title = "No other key of the database could sign; make one with `tenantry keys rotate --now`"


async def load_keys(database: Database, vault: Vault) -> list[SigningKey]:
    """Those that count at this moment."""
    async with database.transaction() as unit_of_work:
        rows = await unit_of_work.rows(ROWS)
    return [
        _key(row, until, vault)
        for row in rows
        if row.withdrawn_at is None and ((until := retirement_of(row, rows)) is None or until > now())
    ]


async def hold_stored_keys(ring: KeyRing, settings: Settings, database: Database) -> None:
    """For a command, which signs what workers would sign."""
    ring.hold(await load_keys(database, Vault.from_settings(settings)))


def retirement_of(row: Any, rows: Sequence[Any]) -> datetime | None:
    """When the last token that it can have signed has expired; None while it is the newest."""
    if row.withdrawn_at is not None:
        return cast("datetime", row.withdrawn_at)
    later = [other.signs_from for other in rows if other.signs_from > row.signs_from and other.withdrawn_at is None]
    return min(later) + LONGEST_TOKEN if later else None


def all_keys(settings: Settings) -> Sequence[Any]:
    with _as_owner(settings) as connection:
        return connection.execute(ROWS).all()


def add_key(settings: Settings, vault: Vault, algorithm: Algorithm, signs_from: datetime) -> str:
    """Also destroys the private parts of those that are retired."""
    key = SigningKey.of(generate(algorithm), signs_from)
    assert key.private is not None
    sealed = vault.seal(private_bytes(key.private), purpose=PURPOSE, owner=key.id.encode())
    with _as_owner(settings) as connection:
        rows = connection.execute(ROWS).all()
        retired = [row.id for row in rows if (until := retirement_of(row, rows)) is not None and until <= now()]
        connection.execute(update(SigningKeyRow).where(SigningKeyRow.id.in_(retired)).values(sealed_key=None))
        connection.execute(
            insert(SigningKeyRow).values(
                id=key.id,
                algorithm=algorithm,
                public_key=public_bytes(key.public),
                sealed_key=sealed,
                created_at=now(),
                signs_from=signs_from,
            )
        )
    return key.id


def withdraw_key(settings: Settings, id: str) -> None:
    """
    Raises:
        NoSuchKey
        LastKey: nothing could be signed any more.
    """
    with _as_owner(settings) as connection:
        live = {row.id: row for row in connection.execute(ROWS.with_for_update()) if row.withdrawn_at is None}
        if id not in live:
            raise NoSuchKey
        if not any(other.signs_from <= now() for other in live.values() if other.id != id):
            raise LastKey
        ending = update(SigningKeyRow).where(SigningKeyRow.id == id)
        connection.execute(ending.values(withdrawn_at=now(), sealed_key=None))


def _key(row: Any, until: datetime | None, vault: Vault) -> SigningKey:
    private = None
    if row.sealed_key is not None:
        try:
            plain = vault.open(row.sealed_key, purpose=PURPOSE, owner=row.id.encode())
            private = cast("PrivateKey", serialization.load_der_private_key(plain, password=None))
        except CannotOpen:
            _log.exception("signing_key.sealed", key=row.id, consequence="it verifies, and does not sign")
    public = cast("Any", serialization.load_der_public_key(row.public_key))
    return SigningKey(row.id, row.algorithm, public, private, row.signs_from, until)


@contextmanager
def _as_owner(settings: Settings) -> Iterator[Connection]:
    """The service may not write here: who has broken into it must not be able to plant a key."""
    engine = create_engine(migration_url(settings))
    try:
        with engine.begin() as connection:
            connection.execute(text(f"SET LOCAL ROLE {OWNER_ROLE}"))
            yield connection
    finally:
        engine.dispose()
