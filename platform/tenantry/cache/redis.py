"""The cache that all workers share, in Redis 6.2 or newer, or Valkey."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from secrets import token_hex
from typing import Any, TypeVar

import structlog
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.maint_notifications import MaintNotificationsConfig

from tenantry.cache.store import LONGEST_TTL, Cache, CacheKey, Namespace, decoded, encoded, whole_milliseconds
from tenantry.readiness import NotReady

__all__ = ("CONNECTIONS", "TIME_LIMIT_SECONDS", "RedisCache", "redis_client")

T = TypeVar("T")
TIME_LIMIT_SECONDS = 0.25
CONNECTIONS = 64
_GENERATION_LIFE = LONGEST_TTL + timedelta(days=1)
_FAULTS = (RedisError, OSError)  # TimeoutError is an OSError

_log = structlog.get_logger("tenantry.cache")


class RedisCache(Cache):
    """A lost or hung Redis costs each call at most 0.25 s and a warning, never an error.

    `get` then misses, and `add` answers True (fails open): who asks "am I the first?" goes ahead, so a mail
    may be sent twice but none is lost. A worker too busy to be served in time counts as a fault as well, so a
    flood passes `add`: where that is wrong, the database has to decide.

    Every key contains the generation of its namespace, a random word under a key of its own, and `invalidate`
    deletes that word: one step however many keys there are, and no moment in which a key that a SCAN has
    passed is written again. A word that Redis evicts is replaced by a new one, so what was forgotten never
    returns. Each command names one key, so that Redis Cluster could spread them.
    """

    def __init__(self, url: str, *, time_limit: float = TIME_LIMIT_SECONDS) -> None:
        self._time_limit = time_limit
        self._redis = redis_client(url, time_limit, CONNECTIONS)
        self._free = asyncio.Semaphore(CONNECTIONS)

    async def get(self, key: CacheKey, type_: type[T]) -> T | None:
        async def read() -> T | None:
            generation = await self._read(_generation_key(key.namespace))
            raw = None if generation is None else await self._read(key.wire(generation.decode()))
            return None if raw is None else decoded(raw, type_)

        return await self._attempt("get", key.namespace, read, otherwise=None)

    async def set(self, key: CacheKey, value: Any, *, ttl: timedelta) -> None:
        raw, life = encoded(value), whole_milliseconds(ttl)

        async def write() -> None:
            await self._redis.set(key.wire(await self._generation(key.namespace)), raw, px=life)

        await self._attempt("set", key.namespace, write, otherwise=None)

    async def add(self, key: CacheKey, value: Any, *, ttl: timedelta) -> bool:
        raw, life = encoded(value), whole_milliseconds(ttl)

        async def write_first() -> bool:
            wire = key.wire(await self._generation(key.namespace))
            return bool(await self._redis.set(wire, raw, px=life, nx=True))

        return await self._attempt("add", key.namespace, write_first, otherwise=True)

    async def delete(self, key: CacheKey) -> None:
        async def remove() -> None:
            generation = await self._read(_generation_key(key.namespace))
            if generation is not None:
                await self._redis.delete(key.wire(generation.decode()))

        await self._attempt("delete", key.namespace, remove, otherwise=None)

    async def invalidate(self, namespace: Namespace) -> None:
        async def forget() -> None:
            await self._redis.delete(_generation_key(namespace))

        await self._attempt("invalidate", namespace, forget, otherwise=None)

    async def close(self) -> None:
        with suppress(*_FAULTS):
            await self._redis.aclose()

    async def check(self) -> str:
        """For readiness."""
        try:
            async with asyncio.timeout(self._time_limit), self._free:
                await self._redis.ping()
        except _FAULTS as error:
            raise NotReady(f"PING failed: {type(error).__name__}") from error
        return "PING answered"

    async def _read(self, name: str) -> bytes | None:
        found = await self._redis.get(name)
        return found.encode() if isinstance(found, str) else found

    async def _generation(self, namespace: Namespace) -> str:
        """The word that new keys contain; reading it for a write keeps it for longer than any value lives."""
        name, fresh = _generation_key(namespace), token_hex(8)
        found = await self._redis.getex(name, ex=_GENERATION_LIFE)
        if found is None:
            if await self._redis.set(name, fresh, ex=_GENERATION_LIFE, nx=True):
                return fresh
            found = await self._read(name)
        if found is None:  # invalidated this moment, so nobody shall find what is written now
            return fresh
        return found.decode() if isinstance(found, bytes) else found

    async def _attempt(
        self, operation: str, namespace: Namespace, call: Callable[[], Awaitable[T]], *, otherwise: T
    ) -> T:
        try:
            async with asyncio.timeout(self._time_limit), self._free:
                return await call()
        except _FAULTS as error:
            # Neither key nor message: both may hold personal data.
            fault = type(error).__name__
            _log.warning("cache.unavailable", operation=operation, namespace=namespace.name, error=fault)
            return otherwise


def redis_client(url: str, time_limit: float, connections: int) -> Redis:
    """For calls that a deadline may cancel: a connection on which that has happened is not used again."""
    # No `socket_timeout`: redis-py 8.1 then writes inside asyncio.wait_for, which on Python 3.11 loses a
    # cancellation that arrives as the write ends. One deadline around each call covers the socket too.
    # Maintenance notifications off: with them the pool no longer refuses a connection with unread data.
    # No retry: an `add` whose first reply was lost would find its own value, and a request would be counted twice.
    client: Redis = Redis.from_url(
        url,
        socket_timeout=None,
        socket_connect_timeout=time_limit,
        max_connections=connections,
        retry=Retry(NoBackoff(), 0),
        maint_notifications_config=MaintNotificationsConfig(enabled=False),
    )
    return client


def _generation_key(namespace: Namespace) -> str:
    return f"{namespace.wire()}:generation"
