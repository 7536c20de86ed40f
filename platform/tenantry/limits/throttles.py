"""How often somebody may try a secret, counted where every worker sees it at once: in the database.

    await throttles.take("login-account", throttle_key(email), Rate(10, per=timedelta(minutes=15)))

Each attempt is one statement in a transaction of its own, so it counts also when the request fails, and of any number
that come at the same time no more pass than the rate has left. Without the database nobody passes.
"""

import hashlib
from datetime import timedelta
from http import HTTPStatus
from math import ceil

from sqlalchemy import Interval, LargeBinary, Text, bindparam, text
from sqlalchemy.dialects.postgresql import TIMESTAMP

from tenantry.clock import now
from tenantry.db.database import Database
from tenantry.db.session import UnitOfWork
from tenantry.errors import AppError
from tenantry.limits.rate import Rate

__all__ = ("Throttles", "TooManyAttempts", "throttle_key")

# A row is written under its lock and judged as it is then. The refused write nothing; what they are told may be a
# little old, and there is no row yet where the others have only just begun.
TAKE = text(
    """
    WITH taken AS (
        INSERT INTO throttles AS t (name, key, until) VALUES (:name, :key, :now + :interval)
        ON CONFLICT (name, key) DO UPDATE SET until = greatest(t.until, :now) + :interval
            WHERE greatest(t.until, :now) + :interval <= :now + :depth
        RETURNING until)
    SELECT true AS passes, until FROM taken
    UNION ALL
    SELECT false, coalesce((SELECT until FROM throttles WHERE name = :name AND key = :key), :now + :depth)
     WHERE NOT EXISTS (SELECT FROM taken)
    """
).bindparams(
    bindparam("name", type_=Text()),
    bindparam("key", type_=LargeBinary()),
    bindparam("now", type_=TIMESTAMP(timezone=True)),
    bindparam("interval", type_=Interval()),
    bindparam("depth", type_=Interval()),
)
GIVE_BACK = text("UPDATE throttles SET until = until - :interval WHERE name = :name AND key = :key").bindparams(
    bindparam("name", type_=Text()), bindparam("key", type_=LargeBinary()), bindparam("interval", type_=Interval())
)
FORGET = text("DELETE FROM throttles WHERE name = :name AND key = :key RETURNING until").bindparams(
    bindparam("name", type_=Text()), bindparam("key", type_=LargeBinary())
)
PRUNE = text(
    """
    DELETE FROM throttles t USING (
        SELECT name, key FROM throttles WHERE until < :past ORDER BY until LIMIT :most FOR UPDATE SKIP LOCKED
    ) AS old WHERE t.name = old.name AND t.key = old.key
    """
).bindparams(bindparam("past", type_=TIMESTAMP(timezone=True)))
TAKES_BETWEEN_PRUNINGS, ROWS_PRUNED = 50, 500
CLOCK_SKEW = timedelta(minutes=5)
"""Between the hosts of this service: a row that is worth nothing here may be worth something there."""


class TooManyAttempts(AppError):
    """`retry_after` is in whole seconds."""

    status = HTTPStatus.TOO_MANY_REQUESTS
    code = "too_many_attempts"
    title = "There were too many attempts; wait before the next one"

    def __init__(self, retry_after: int) -> None:
        super().__init__(headers={"Retry-After": str(retry_after)})
        self.retry_after = retry_after


class Throttles:
    """Handlers and services name it `throttles`."""

    database: Database
    """There once the application has started."""

    def __init__(self) -> None:
        self._taken = 0

    async def take(self, name: str, key: bytes, rate: Rate) -> None:
        """Count an attempt. `name` is what is limited, `key` who: see `throttle_key`.

        Raises:
            TooManyAttempts: the rate is used up; this attempt does not count.
        """
        async with self.database.transaction() as unit_of_work:
            await self.take_within(unit_of_work, name, key, rate)
        await self.prune_at_times()

    async def take_within(self, unit_of_work: UnitOfWork, name: str, key: bytes, rate: Rate) -> None:
        """As `take`, in a transaction of the caller's, until whose end the others of this key wait."""
        moment = now()
        asked = {"name": name, "key": key, "now": moment, "interval": rate.interval, "depth": rate.depth}
        (row,) = await unit_of_work.rows(TAKE, asked)
        if not row.passes:
            wait = row.until + rate.interval - rate.depth - moment
            raise TooManyAttempts(max(1, ceil(wait.total_seconds())))
        self._taken += 1

    async def give_back_within(self, unit_of_work: UnitOfWork, name: str, key: bytes, rate: Rate) -> None:
        """Let an attempt that was taken not have been one, as when the secret was right."""
        await unit_of_work.execute(GIVE_BACK, {"name": name, "key": key, "interval": rate.interval})

    async def forget_within(self, unit_of_work: UnitOfWork, name: str, key: bytes, rate: Rate) -> int:
        """How many attempts counted until now; none does any more."""
        until = await unit_of_work.scalar(FORGET, {"name": name, "key": key})
        return 0 if until is None else max(0, ceil((until - now()) / rate.interval))

    async def prune_at_times(self) -> None:
        if self._taken >= TAKES_BETWEEN_PRUNINGS:
            self._taken = 0
            await self.prune()

    async def prune(self) -> None:
        """Delete rows that are over: ten times as many as can have come since the last time."""
        async with self.database.transaction() as unit_of_work:
            await unit_of_work.execute(PRUNE, {"past": now() - CLOCK_SKEW, "most": ROWS_PRUNED})


def throttle_key(*parts: str) -> bytes:
    """Who it is, as a digest: the table must not tell whose addresses were tried."""
    return hashlib.sha256("\0".join(parts).encode(errors="surrogatepass")).digest()
