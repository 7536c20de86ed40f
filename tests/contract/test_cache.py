"""Every cache keeps the same promises, and a lost or hung Redis costs a moment, never an answer."""

import asyncio
import random
import signal
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import msgspec
import pytest
from litestar import Litestar, get
from litestar.di import NamedDependency
from litestar.testing import AsyncTestClient
from redis.asyncio import Redis
from structlog.testing import capture_logs

from tenantry.cache import Cache, CacheKey, CachePlugin, shared_key, tenant_key, tenant_namespace
from tenantry.cache.local import MAX_ENTRIES, LocalCache
from tenantry.cache.redis import CONNECTIONS, RedisCache
from tenantry.clock import frozen_at
from tenantry.config import Settings
from tenantry.context import enter_tenant
from tenantry.readiness import Readiness
from tests.contract.redis_server import answers, redis_server

pytestmark = pytest.mark.anyio

ACME, GLOBEX = uuid4(), uuid4()
SHARED = f"test-{uuid4().hex}"
MINUTE = timedelta(minutes=1)
PATIENCE = 20.0  # seconds: what is not about faults must not fail on a busy machine
NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Summary(msgspec.Struct):
    at: datetime
    by: UUID


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    with redis_server() as (_, url):
        yield url


@pytest.fixture(params=["local", "redis", "redis on the standard port"])
async def cache(request: pytest.FixtureRequest, redis_url: str) -> AsyncIterator[Cache]:
    if request.param == "local":
        yield LocalCache()
        return
    if request.param != "redis" and not answers(6379):
        pytest.skip("no Redis there")
    redis_url = redis_url if request.param == "redis" else "redis://127.0.0.1:6379/15"
    cache = RedisCache(redis_url, time_limit=PATIENCE)
    yield cache
    await cache.close()
    async with Redis.from_url(redis_url) as redis:
        async for name in redis.scan_iter(f"tenantry:*:{SHARED}*"):
            await redis.delete(name)


async def test_value_is_read_back_until_deleted(cache: Cache) -> None:
    """What was set is read back as its type, and is gone after delete."""
    key, value = shared_key(SHARED, "summary"), Summary(NOW, ACME)
    await cache.set(key, value, ttl=MINUTE)
    before = await cache.get(key, Summary)
    await cache.delete(key)

    assert (value, None) == (before, await cache.get(key, Summary))


async def test_add_lets_one_of_many_pass(cache: Cache) -> None:
    """Of 50 concurrent calls of add one answers True, and its value stays."""
    key = shared_key(SHARED, "first")
    passed = await asyncio.gather(*(cache.add(key, number, ttl=MINUTE) for number in range(50)))

    assert (1, passed.index(True)) == (passed.count(True), await cache.get(key, int))


async def test_tenants_do_not_see_each_other(cache: Cache) -> None:
    """The same key under two tenants, and shared, is three; invalidation reaches one tenant's namespace."""
    keys = [shared_key(SHARED, "summary")]
    for tenant in (GLOBEX, ACME):
        enter_tenant(tenant)
        keys += [tenant_key(f"{SHARED}-other", "summary"), tenant_key(SHARED, "summary")]
    for number, key in enumerate(keys):
        await cache.set(key, number, ttl=MINUTE)
    before = [await cache.get(key, int) for key in keys]
    await cache.invalidate(tenant_namespace(SHARED))

    assert [0, 1, 2, 3, 4] == before
    assert [0, 1, 2, 3, None] == [await cache.get(key, int) for key in keys]


async def test_what_was_forgotten_does_not_return(cache: Cache) -> None:
    """After invalidation new values are kept and the old ones stay away."""
    old, new = shared_key(SHARED, "old"), shared_key(SHARED, "new")
    await cache.set(old, 1, ttl=MINUTE)
    await cache.invalidate(old.namespace)

    assert await cache.add(new, 2, ttl=MINUTE)
    assert [None, 2] == [await cache.get(key, int) for key in (old, new)]


async def test_parts_do_not_collide(cache: Cache) -> None:
    """Keys whose parts only look alike when joined hold values of their own."""
    parts = [(), ("",), ("", ""), ("a:b",), ("a", "b"), ("a", "b", ""), ("a%3Ab",), ("ä",), ("\ud800",)]
    keys = [shared_key(SHARED, *each) for each in parts]
    for number, key in enumerate(keys):
        await cache.set(key, number, ttl=MINUTE)

    assert list(range(len(keys))) == [await cache.get(key, int) for key in keys]


@pytest.mark.parametrize("value", ["text", b"\xff\xfe", {"at": None, "by": 1}])
async def test_value_of_another_type_is_a_miss(cache: Cache, value: object) -> None:
    """A stored value that does not decode into the type asked for is a miss, not an error."""
    key = shared_key(SHARED, "changed")
    await cache.set(key, value, ttl=MINUTE)

    assert await cache.get(key, Summary) is None


async def test_value_ends_with_its_ttl(cache: Cache) -> None:
    """After its time to live a value is gone and may be added again; a longer one stays."""
    short, long = shared_key(SHARED, "short"), shared_key(SHARED, "long")
    with frozen_at(NOW):
        await cache.set(short, 1, ttl=timedelta(milliseconds=150))
        await cache.set(long, 1, ttl=MINUTE)
        before = await cache.get(short, int)
    await asyncio.sleep(0.2 if isinstance(cache, RedisCache) else 0)
    with frozen_at(NOW + timedelta(milliseconds=150)):
        after = [await cache.get(short, int), await cache.get(long, int)]
        added = [await cache.add(short, 2, ttl=MINUTE), await cache.add(long, 2, ttl=MINUTE)]

    assert (1, [None, 1]) == (before, after)
    assert [True, False] == added


async def test_mistakes_of_the_caller_are_errors(cache: Cache) -> None:
    """A tenant's key without a tenant and a ttl that means never are refused, and the message says why."""
    enter_tenant(None)

    with pytest.raises(RuntimeError, match="no tenant is bound"):
        tenant_key("projects", 1)
    with pytest.raises(ValueError, match="a ttl is above zero"):
        await cache.set(shared_key(SHARED, 1), 1, ttl=timedelta(0))


async def test_local_cache_is_bounded() -> None:
    """One entry too many drops the one that was used least recently."""
    cache = LocalCache()
    for number in range(MAX_ENTRIES + 1):
        await cache.set(shared_key(SHARED, number), number, ttl=MINUTE)

    assert [None, 1] == [await cache.get(shared_key(SHARED, number), int) for number in (0, 1)]


@pytest.mark.parametrize("fault", [signal.SIGKILL, signal.SIGSTOP])
async def test_lost_or_hung_redis_is_a_miss(fault: signal.Signals) -> None:
    """Many calls all end within seconds: get misses, add passes; logs name no key, readiness tells."""
    readiness, key = Readiness(), shared_key(SHARED, "person@example.com")
    with redis_server() as (process, url), capture_logs() as logs:
        cache = CachePlugin(Settings(redis_url=url), readiness).cache
        await cache.set(key, 1, ttl=MINUTE)
        before = await cache.get(key, int), (await readiness.results())[0].ok
        process.send_signal(fault)
        writes = cache.set(key, 2, ttl=MINUTE), cache.delete(key), cache.invalidate(key.namespace)
        calls = cache.add(key, 3, ttl=MINUTE), *writes, *(cache.get(key, int) for _ in range(2 * CONNECTIONS))
        during = await asyncio.wait_for(asyncio.gather(*calls), 5)
        ready = (await readiness.results())[0].ok
        process.send_signal(signal.SIGCONT)
        after = await cache.get(key, int)
        await cache.close()

    assert (1, True) == before
    assert ([True] + [None] * (3 + 2 * CONNECTIONS), False) == (during, ready)
    assert (None if fault is signal.SIGKILL else 1) == after
    assert {"get", "add", "set", "delete", "invalidate"} == {log["operation"] for log in logs}
    assert {"cache.unavailable"} == {log["event"] for log in logs}
    assert "person" not in str(logs)


async def test_cancelled_calls_do_not_poison_later_ones(redis_url: str) -> None:
    """After calls cancelled at any moment each reply reaches its own call, and no cancellation is lost."""
    cache, lost = RedisCache(redis_url, time_limit=PATIENCE), 0
    keys = [shared_key(SHARED, "pair", number) for number in range(200)]

    async def cut_short(key: CacheKey) -> bool:
        call = asyncio.create_task(cache.get(key, int))
        for _ in range(random.randrange(30)):
            await asyncio.sleep(0)
        wanted = call.cancel()
        await asyncio.wait([call])
        return wanted and not call.cancelled()

    async def pair(number: int) -> int | None:
        await cache.set(keys[number], number, ttl=MINUTE)
        return await cache.get(keys[number], int)

    for _ in range(20):
        await asyncio.gather(*(cache.set(key, -1, ttl=MINUTE) for key in keys[:50]))
        lost += sum(await asyncio.gather(*map(cut_short, keys[:50])))
    found = await asyncio.gather(*map(pair, range(200)))
    await cache.close()

    assert (0, list(range(200))) == (lost, found)


@get("/")
async def first_visit(cache: NamedDependency[Cache]) -> bool:
    return await cache.add(shared_key(SHARED, "visit"), 1, ttl=MINUTE)


async def test_plugin_gives_handlers_the_cache() -> None:
    """A handler that names `cache` gets one that keeps values between requests."""
    app = Litestar([first_visit], plugins=[CachePlugin(Settings(), Readiness())])
    async with AsyncTestClient(app) as client:
        visits = [(await client.get("/")).json() for _ in range(3)]

    assert [True, False, False] == visits
