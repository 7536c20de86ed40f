"""Keeps a worker's keys those of the database: looks every few seconds, and at once for a key that it does not know."""

import asyncio
from contextlib import suppress
from time import monotonic

import structlog
from litestar import Litestar

from tenantry.security.keys import KeyRing
from tenantry.security.vault import Vault
from tenantry.signing.store import load_keys

__all__ = ("KeyWatch",)

_log = structlog.get_logger("tenantry.keys")
EVERY_SECONDS = 30.0
LEAST_SECONDS = 5.0


class KeyWatch:
    """However many unknown keys come, the database is asked once in `LEAST_SECONDS`, and by one at a time."""

    def __init__(self, ring: KeyRing, vault: Vault) -> None:
        self.ring, self.vault = ring, vault
        self._asking = asyncio.Lock()
        self._asked = float("-inf")
        self.loads = 0
        self._task: asyncio.Task[None] | None = None

    async def start(self, app: Litestar) -> None:
        self._database = app.state.database
        await self._load()
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        if self._task is not None:  # else the start has failed
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def learn(self) -> None:
        """The keys are those of the last `LEAST_SECONDS` when it returns."""
        async with self._asking:
            if monotonic() - self._asked >= LEAST_SECONDS:
                await self._load()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(EVERY_SECONDS)
            async with self._asking:
                await self._load()

    async def _load(self) -> None:
        self._asked = monotonic()
        self.loads += 1
        try:
            self.ring.hold(await load_keys(self._database, self.vault))
        except Exception as error:  # whatever it is, the keys that are known go on, and the task that looks too
            _log.warning("signing_keys.not_loaded", reason=repr(error), consequence="those known go on")
