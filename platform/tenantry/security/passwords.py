"""Password hashing: argon2id with OWASP's parameters, on a few threads of its own.

More threads would hash no faster, and would stall the event loop and take 19 MiB each.
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

__all__ = ("PasswordService",)

MEMORY_KIB = 19 * 1024
ITERATIONS = 2
LANES = 1
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


class PasswordService:
    def __init__(self, threads: int) -> None:
        self._hasher = PasswordHasher(time_cost=ITERATIONS, memory_cost=MEMORY_KIB, parallelism=LANES)
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="argon2", initializer=give_way)
        self._waiting = 0
        self._decoy = self._hasher.hash("nobody has this password")

    async def hash(self, password: str) -> str:
        return await self._run(self._hasher.hash, password)

    async def verify(self, password: str, hashed: str | None) -> bool:
        """Without a hash it takes as long as with one and answers False, so that nobody learns who exists."""
        matches = await self._run(self._matches, hashed or self._decoy, password)
        return matches and hashed is not None

    def needs_rehash(self, hashed: str) -> bool:
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
