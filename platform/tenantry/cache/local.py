"""A cache of this process alone: for development, and for one worker."""

from datetime import datetime, timedelta
from itertools import count
from typing import Any, TypeVar

import msgspec
from cachetools import LRUCache, TLRUCache

from tenantry import clock
from tenantry.cache.store import Cache, CacheKey, Namespace, decoded, encoded, whole_milliseconds

__all__ = ("MAX_ENTRIES", "LocalCache")

T = TypeVar("T")
MAX_ENTRIES = 10_000


class _Entry(msgspec.Struct, frozen=True):
    raw: bytes
    ttl: timedelta


_Name = tuple[int, tuple[str, ...]]


def _expiry(_name: _Name, entry: _Entry, now: datetime) -> datetime:
    return now + entry.ttl


class LocalCache(Cache):
    """Holds values encoded, as Redis does, so that nobody changes what another reads.

    As in Redis every entry is stored under the generation of its namespace, here a number never used before.
    Generations are bounded like entries: one that drops out takes its entries along.
    """

    def __init__(self) -> None:
        self._entries = TLRUCache[_Name, _Entry, datetime](MAX_ENTRIES, _expiry, clock.now)
        self._generations = LRUCache[Namespace, int](MAX_ENTRIES)
        self._unused = count()

    async def get(self, key: CacheKey, type_: type[T]) -> T | None:
        generation = self._generations.get(key.namespace)
        entry = None if generation is None else self._entries.get((generation, key.parts))
        return None if entry is None else decoded(entry.raw, type_)

    async def set(self, key: CacheKey, value: Any, *, ttl: timedelta) -> None:
        self._entries[self._name(key)] = _entry(value, ttl)

    async def add(self, key: CacheKey, value: Any, *, ttl: timedelta) -> bool:
        name, entry = self._name(key), _entry(value, ttl)
        if name in self._entries:
            return False
        self._entries[name] = entry
        return True

    async def delete(self, key: CacheKey) -> None:
        self._entries.pop(self._name(key), None)

    async def invalidate(self, namespace: Namespace) -> None:
        self._generations.pop(namespace, None)

    async def close(self) -> None:
        self._entries.clear()

    def _name(self, key: CacheKey) -> _Name:
        generation = self._generations.get(key.namespace)
        if generation is None:
            generation = self._generations[key.namespace] = next(self._unused)
        return generation, key.parts


def _entry(value: Any, ttl: timedelta) -> _Entry:
    return _Entry(encoded(value), timedelta(milliseconds=whole_milliseconds(ttl)))
