"""Password hashing: argon2id, by default with OWASP's parameters, on a few threads of its own.

More threads would hash no faster, and would stall the event loop and take their memory each: it is bounded by the
number of threads, and the time that somebody waits by the length of the queue.

What is hashed is the password as it came: no part is cut off, and no character becomes another.
"""

import asyncio
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from tenantry.errors import Unavailable
from tenantry.settings import Settings

__all__ = ("PasswordService", "hasher_of")

LONGEST_QUEUE = 64
NICENESS = 10
T = TypeVar("T")


class PasswordsBusy(Unavailable):
    code = "passwords_busy"
    title = "Too many people are signing in at this moment"


def give_way() -> None:
    """Let the event loop compute before this thread; where a system has no priority of threads, they take turns."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


def hasher_of(settings: Settings) -> PasswordHasher:
    return PasswordHasher(
        time_cost=settings.password_hash_iterations,
        memory_cost=settings.password_hash_memory_kib,
        parallelism=settings.password_hash_lanes,
    )


class PasswordService:
    def __init__(self, settings: Settings, *, threads: int | None = None) -> None:
        self._hasher = hasher_of(settings)
        self._threads = ThreadPoolExecutor(
            threads or settings.password_hash_threads, thread_name_prefix="argon2", initializer=give_way
        )
        self._waiting = 0
        self._decoy = self._hasher.hash("nobody has this password")

    async def hash(self, password: str) -> str:
        return await self._run(self._hasher.hash, password)

    async def verify(self, password: str, hashed: str | None) -> bool:
        """Without a hash it takes as long as with one and answers False, so that nobody learns who exists."""
        matches = await self._run(self._matches, hashed or self._decoy, password)
        return matches and hashed is not None

    async def pretend(self, password: str) -> None:
        """Take as long as `verify`, and as many of the threads, where a guess is refused unjudged."""
        await self._run(self._matches, self._decoy, password)

    def needs_rehash(self, hashed: str) -> bool:
        """Whether it was made by other parameters than a new one would be."""
        return self._hasher.check_needs_rehash(hashed)

    def close(self) -> None:
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _matches(self, hashed: str, password: str) -> bool:
        try:
            return self._hasher.verify(hashed, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _run(self, work: Callable[..., T], *arguments: str) -> T:
        if self._waiting >= LONGEST_QUEUE:
            raise PasswordsBusy(retry_after=2)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)
        finally:
            self._waiting -= 1
