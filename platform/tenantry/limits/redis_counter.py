"""Counts for all workers, in Redis 6.2 or newer, or Valkey: one call of a script for all that one request asks.

It works in whole microseconds of Redis' own clock, so hosts need not agree on the time, and no sum is rounded.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from hashlib import sha1
from time import monotonic
from typing import Any

import structlog
from redis.exceptions import NoScriptError, RedisError

from tenantry.cache.redis import redis_client
from tenantry.limits.local_counter import LocalCounter
from tenantry.limits.rate import Ask, Outcome

__all__ = ("TIME_LIMIT_SECONDS", "RedisCounter")

TIME_LIMIT_SECONDS = 0.05
CONNECTIONS = 64
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 15.0
FAULTS = (RedisError, OSError)  # TimeoutError is an OSError
# A number of Lua becomes a text of 14 digits unless a format says how many.
SCRIPT = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local untils, refused, wait = {}, 0, 0
for i, key in ipairs(KEYS) do
    local interval, depth = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
    untils[i] = math.max(tonumber(redis.call('GET', key) or '0'), now)
    local over = untils[i] + interval - depth - now
    if over > wait then
        refused, wait = i, over
    end
end
local reply = {refused, wait}
for i, key in ipairs(KEYS) do
    if refused == 0 then
        untils[i] = untils[i] + tonumber(ARGV[2 * i - 1])
        redis.call('SET', key, string.format('%.0f', untils[i]), 'PX', math.ceil((untils[i] - now) / 1000))
    end
    reply[i + 2] = untils[i] - now
end
return reply
"""
DIGEST = sha1(SCRIPT.encode(), usedforsecurity=False).hexdigest()

_log = structlog.get_logger("tenantry.limits")


class RedisCounter:
    """A lost or hung Redis costs a request at most 50 ms, and few requests that: after a fault one in a while tries it
    again, in pauses that grow, and all others are counted by their own worker meanwhile.
    """

    def __init__(self, url: str, local: LocalCounter, clock: Callable[[], float] = monotonic) -> None:
        self._redis = redis_client(url, TIME_LIMIT_SECONDS, CONNECTIONS)
        self._free = asyncio.Semaphore(CONNECTIONS)
        self._local = local
        self._clock = clock
        self._pause = 0.0
        self._closed_until = 0.0
        self.faults = 0

    async def take(self, asks: Sequence[Ask]) -> Outcome | None:
        """None where an ask wants to be counted by Redis or not at all, and Redis does not answer."""
        if self._clock() >= self._closed_until:
            if self._pause:  # whoever comes while this one tries must not wait as well
                self._closed_until = self._clock() + self._pause
            seen = self._closed_until
            try:
                async with asyncio.timeout(TIME_LIMIT_SECONDS), self._free:
                    found = await self._run(asks)
            except FAULTS as error:
                self._stumble(error, seen)
            else:
                self._pause = self._closed_until = 0.0
                return found
        if any(ask.limit.rate.fails == "closed" for ask in asks):
            return None
        return self._local.take(asks)

    async def close(self) -> None:
        with suppress(*FAULTS):
            await self._redis.aclose()

    async def _run(self, asks: Sequence[Ask]) -> Outcome:
        numbers = [number for ask in asks for number in (ask.limit.interval, ask.limit.depth)]
        call: Any = self._redis.execute_command  # untyped
        values: list[Any] = [len(asks), *(ask.key for ask in asks), *numbers]
        try:
            reply = await call("EVALSHA", DIGEST, *values)
        except NoScriptError:
            reply = await call("EVAL", SCRIPT, *values)
        refused, wait, *ahead = reply
        return Outcome(refused - 1 if refused else None, wait, ahead)

    def _stumble(self, error: BaseException, seen: float) -> None:
        self.faults += 1
        if seen != self._closed_until:  # of those that went together one has said so
            return
        self._pause = min(LONGEST_PAUSE_SECONDS, max(FIRST_PAUSE_SECONDS, self._pause * 2))
        self._closed_until = self._clock() + self._pause
        # Not the message: it may hold the address, and so the password.
        _log.warning("limits.redis_unavailable", error=type(error).__name__, next_try_seconds=self._pause)
