"""`Idempotency-Key`: who sends a request again gets the first answer, and there is one effect, whatever fails between.

The answer is stored in the transaction of the effect, so there are both or neither, and an error, which undoes its
effect, leaves nothing: the same key may try again. Whoever holds the advisory lock of a key is at work on it; the lock
ends with the transaction, however that ends, and nobody waits for it.
"""

import re
from datetime import timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID

import msgspec
from litestar.types import Scope
from sqlalchemy import BigInteger, bindparam, func, or_, select

from tenantry.clock import now
from tenantry.db.idempotency import IdempotencyKeyRow as Row
from tenantry.db.lane.statement import constant
from tenantry.db.session import UnitOfWork
from tenantry.errors import BadRequest, Conflict, Unprocessable
from tenantry.http.answer import Answer
from tenantry.http.etag import header_of
from tenantry.http.request import BODY
from tenantry.security.principal import Principal

__all__ = ("InFlight", "InvalidKey", "KeyRequired", "KeyReused", "Keyed", "key_of")

KEY = re.compile(rb'(")?(?P<key>[\x21\x23-\x7e]{1,255})(?(1)")')
"""In quotation marks or not."""
SAFE_HEADERS = frozenset({b"content-type", b"etag", b"location"})
PRUNED_AT_ONCE = 20
"""More than are added at a time, so that what has expired does not pile up."""


class KeyRequired(BadRequest):
    code = "idempotency_key_required"
    title = "Send an Idempotency-Key, such as a random UUID"


class InvalidKey(BadRequest):
    code = "idempotency_key_invalid"
    title = "An Idempotency-Key has 1 to 255 visible ASCII characters, and there is one"


class InFlight(Conflict):
    code = "idempotency_in_flight"
    title = "A request with this Idempotency-Key is being answered; ask again"

    def __init__(self) -> None:
        super().__init__(headers={"Retry-After": "1"})


class KeyReused(Unprocessable):
    code = "idempotency_key_reused"
    title = "This Idempotency-Key was used for another request"


class Stored(msgspec.Struct, frozen=True):
    fingerprint: bytes
    status: int
    headers: dict[str, str]
    body: bytes

    def answer(self) -> Answer:
        headers = [(name.encode(), value.encode()) for name, value in self.headers.items()]
        if self.body:
            headers.append((b"content-length", b"%d" % len(self.body)))
        return Answer(self.status, [*headers, (b"idempotency-replayed", b"true")], self.body)


STORED = constant(
    select(Row.fingerprint, Row.status, Row.headers, Row.body).where(
        Row.id == bindparam("id"), Row.expires_at > bindparam("now")
    )
)
TRY_LOCK = select(func.pg_try_advisory_xact_lock(bindparam("lock", type_=BigInteger())))
EXPIRED = (
    select(Row.id)
    .where(Row.expires_at <= bindparam("now"))
    .order_by(Row.expires_at)
    .limit(PRUNED_AT_ONCE)
    .with_for_update(skip_locked=True)
)
TABLE = Row.metadata.tables[Row.__tablename__]
PRUNE = TABLE.delete().where(or_(TABLE.c.id == bindparam("id"), TABLE.c.id.in_(EXPIRED)))
INSERT = TABLE.insert()


def key_of(scope: Scope) -> bytes | None:
    """
    Raises:
        InvalidKey: what was sent is none.
    """
    sent = header_of(scope, b"idempotency-key")
    if sent is None:
        return None
    if (found := KEY.fullmatch(sent)) is None:
        raise InvalidKey
    return found["key"]


class Keyed:
    """One request with a key, at one attempt."""

    def __init__(self, key: bytes, scope: Scope, principal: Principal, *, life: timedelta, claims_first: bool) -> None:
        """`life`: how long the answer is kept. `claims_first`: before the handler runs, and not afterwards.

        A handler that acts outside of the database must not hold a transaction meanwhile.
        """
        self.subject_id, self.method = principal.subject_id, str(scope.get("method"))
        self.path = scope["path_template"].format(**scope["path_params"])
        sent = scope["query_string"], scope["state"].get(BODY, b"")
        self.fingerprint = sha256(b"\0".join(sent)).digest()
        bound_to = (self.subject_id.hex, self.method, self.path, key.decode())
        digest = sha256("\n".join(bound_to).encode()).digest()
        self.id = UUID(bytes=digest[:16])
        # The tenant is not in `id`, which belongs to its row; the lock is everybody's.
        claimed = principal.tenant_id.bytes if principal.tenant_id is not None else b""
        self._lock = int.from_bytes(sha256(claimed + digest).digest()[:8], signed=True)
        self._life, self._claims_first, self._is_claimed = life, claims_first, False

    async def first(self, unit_of_work: UnitOfWork) -> Answer | None:
        """What was answered the first time, to whom the database lets in.

        Raises:
            InFlight: another request is at work on it.
            KeyReused: it was another request.
        """
        await unit_of_work.authorize()
        found = await self._stored(unit_of_work)
        return found if found is not None or not self._claims_first else await self._claim(unit_of_work)

    async def keep(self, unit_of_work: UnitOfWork, answer: Answer) -> Answer | None:
        """Store it with the effect; or another answer that was stored meanwhile, and then nothing must be kept."""
        if not self._is_claimed and (found := await self._claim(unit_of_work)) is not None:
            return found
        if unit_of_work.tenant_id is None:
            raise RuntimeError(f"{self.method} {self.path} works for no tenant, whose answer could be stored")
        headers = {name.decode(): value.decode() for name, value in answer.headers if name in SAFE_HEADERS}
        moment = now()
        await unit_of_work.execute(PRUNE, {"id": self.id, "now": moment})
        values: dict[str, Any] = {
            "id": self.id,
            "subject_id": self.subject_id,
            "method": self.method,
            "path": self.path,
            "fingerprint": self.fingerprint,
            "status": int(answer.status),
            "headers": headers,
            "body": answer.body,
            "expires_at": moment + self._life,
        }
        await unit_of_work.execute(INSERT, values)
        return None

    async def _claim(self, unit_of_work: UnitOfWork) -> Answer | None:
        if not await unit_of_work.scalar(TRY_LOCK, {"lock": self._lock}):
            raise InFlight
        self._is_claimed = True
        # Once more: it may have been stored just before the lock was free.
        return await self._stored(unit_of_work)

    async def _stored(self, unit_of_work: UnitOfWork) -> Answer | None:
        found = await unit_of_work.structs(STORED, Stored, {"id": self.id, "now": now()})
        if not found:
            return None
        if found[0].fingerprint != self.fingerprint:
            raise KeyReused
        return found[0].answer()
