"""Sends what is kept, as often as it takes: each mail at least once, and with the same Message-ID each time.

Every worker has one. It takes mail that is due under a lease: a statement moves `due_at` on, with `SKIP LOCKED`, so
that no two have the same, and no transaction stays open while a mail server thinks. Who dies meanwhile leaves it due.
"""

import asyncio
import random
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import Row, bindparam, delete, text, update
from sqlalchemy.dialects.postgresql import TIMESTAMP

from tenantry.clock import now
from tenantry.db.database import Database
from tenantry.mail.message import Posted
from tenantry.mail.models import QueuedMailRow
from tenantry.mail.seal import MailSeal
from tenantry.mail.transports import NotTaken, Transport
from tenantry.observability.metrics import metrics
from tenantry.security.vault import CannotOpen

__all__ = ("Delivery",)

_log = structlog.get_logger("tenantry.mail")
TAKE = text(
    """
    UPDATE mail_queue AS q SET attempts = q.attempts + 1, due_at = :until
      FROM (SELECT id FROM mail_queue WHERE due_at <= :now ORDER BY due_at, id LIMIT :most
              FOR UPDATE SKIP LOCKED) AS due
     WHERE q.id = due.id
    RETURNING q.id, q.created_at, q.attempts, q.sealed
    """
).bindparams(bindparam("until", type_=TIMESTAMP(timezone=True)), bindparam("now", type_=TIMESTAMP(timezone=True)))
AT_ONCE = 10
LEASE = timedelta(seconds=60)
"""Longer than a transport can take."""
POLL_SECONDS = 5.0
"""For what other processes keep, and what is due again."""
FIRST_WAIT, LONGEST_WAIT = timedelta(seconds=5), timedelta(hours=1)
MOST_ATTEMPTS = 30
"""Spread over about 20 hours: links in mails live for a day."""
STOP_SECONDS = 5


class Delivery:
    database: Database
    """There once the application has started."""

    def __init__(self, seal: MailSeal, transport: Transport) -> None:
        self._seal, self.transport = seal, transport
        self._woken = asyncio.Event()
        self._stops = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._stops = False
        self._task = asyncio.create_task(self._run(), name="mail delivery")

    async def stop(self) -> None:
        """Let what is on its way arrive; what takes too long is left to its lease."""
        if self._task is not None:
            self._stops = True
            self.wake()
            await asyncio.wait({self._task}, timeout=STOP_SECONDS)
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    def wake(self) -> None:
        self._woken.set()

    async def drain(self, moment: datetime | None = None) -> int:
        """Try all that is due, once; how many were tried."""
        tried = 0
        while not self._stops and (batch := await self._take(moment or now())):
            await asyncio.gather(*map(self._deliver, batch))
            tried += len(batch)
        return tried

    async def _run(self) -> None:
        while not self._stops:
            self._woken.clear()
            try:
                await self.drain()
            except Exception as error:
                _log.warning("mail.queue_unreachable", error=type(error).__name__)
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_SECONDS * random.uniform(0.5, 1.5)):  # noqa: S311 -- jitter is no secret
                    await self._woken.wait()

    async def _take(self, moment: datetime) -> list[Row[Any]]:
        async with self.database.transaction() as unit_of_work:
            asked = {"now": moment, "until": max(moment, now()) + LEASE, "most": AT_ONCE}
            return sorted(await unit_of_work.rows(TAKE, asked), key=lambda row: row.id)

    async def _deliver(self, row: Row[Any]) -> None:
        try:
            mail = self._seal.open(row.id, row.sealed)
            if mail is not None:
                await self._send(Posted(row.id, row.created_at, mail))
                metrics.mails.labels("sent").inc()
        except CannotOpen:
            self._give_up(row, "sealed with a key that is gone")
        except NotTaken as error:
            if not error.is_final and row.attempts < MOST_ATTEMPTS:
                await self._postpone(row, error.reason)
                return
            self._give_up(row, error.reason)
        async with self.database.transaction() as unit_of_work:
            await unit_of_work.execute(delete(QueuedMailRow).where(QueuedMailRow.id == row.id))

    async def _send(self, posted: Posted) -> None:
        try:
            await self.transport.send(posted)
        except NotTaken:
            raise
        except Exception as error:
            # Else it would be tried forever, and stand in the way of others.
            raise NotTaken(type(error).__name__) from error

    async def _postpone(self, row: Row[Any], reason: str) -> None:
        wait = min(FIRST_WAIT * 2 ** (row.attempts - 1), LONGEST_WAIT) * random.uniform(0.5, 1)  # noqa: S311 -- jitter is no secret
        _log.warning("mail.postponed", mail=str(row.id), attempts=row.attempts, seconds=int(wait.total_seconds()),
                     reason=reason)  # fmt: skip
        metrics.mails.labels("postponed").inc()
        async with self.database.transaction() as unit_of_work:
            later = update(QueuedMailRow).where(QueuedMailRow.id == row.id).values(due_at=now() + wait)
            await unit_of_work.execute(later)

    def _give_up(self, row: Row[Any], reason: str) -> None:
        _log.error("mail.given_up", mail=str(row.id), attempts=row.attempts, reason=reason)
        metrics.mails.labels("given_up").inc()
