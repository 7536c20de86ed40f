"""Attempts at secrets are counted exactly, by all workers together, and nobody's for longer than the rate says."""

import asyncio
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from litestar import Litestar
from litestar.di import Provide

from tenantry.clock import frozen_at
from tenantry.config import Settings
from tenantry.db.database import Database
from tenantry.db.denials import PoolExhausted
from tenantry.db.engine import create_engine, psycopg_url
from tenantry.errors import Unavailable
from tenantry.ids import new_id
from tenantry.limits.address import network_of
from tenantry.limits.rate import Rate
from tenantry.limits.throttles import ROWS_PRUNED, Throttles, TooManyAttempts, throttle_key
from tenantry.testing.databases import DatabaseUrls

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TEN = Rate(10, per=timedelta(minutes=1))


@pytest.fixture
def throttles(database: Database) -> Throttles:
    made = Throttles()
    made.database = database
    return made


@pytest.fixture
def key() -> bytes:
    return throttle_key(str(new_id()))


async def passes(throttles: Throttles, key: bytes, rate: Rate = TEN, name: str = "test") -> bool:
    try:
        await throttles.take(name, key, rate)
    except (TooManyAttempts, PoolExhausted):
        return False
    return True


async def test_of_parallel_attempts_no_more_pass_than_the_rate(database: Database, key: bytes) -> None:
    """Of 200 attempts at one moment, made through two workers' services, exactly as many pass as the rate has."""
    workers = [Throttles(), Throttles()]
    for worker in workers:
        worker.database = database
    with frozen_at(NOW):
        results = await asyncio.gather(*(passes(workers[number % 2], key) for number in range(200)))

    assert 10 == sum(results)


@pytest.mark.parametrize("times", [1, 3, 7, 10])
async def test_rate_refills_evenly(throttles: Throttles, key: bytes, times: int) -> None:
    """All of the rate may come at once, then one in each interval, and after a pause all of it again."""
    rate = Rate(times, per=timedelta(minutes=1))
    moments = [NOW, NOW + rate.interval, NOW + 3 * rate.depth]
    counts = []
    for moment in moments:
        with frozen_at(moment):
            counts.append(sum([await passes(throttles, key, rate) for _ in range(times + 1)]))

    assert [times, 1, times] == counts


async def test_refusal_says_when_to_come_back(throttles: Throttles, key: bytes) -> None:
    """Whoever waits as long as the refusal says passes, and nobody does a second before; a refusal costs nothing."""
    with frozen_at(NOW):
        for _ in range(10):
            await throttles.take("test", key, TEN)
        for _ in range(2):
            with pytest.raises(TooManyAttempts) as refused:
                await throttles.take("test", key, TEN)
    wait = refused.value.retry_after
    with frozen_at(NOW + timedelta(seconds=wait - 1)):
        early = await passes(throttles, key)
    with frozen_at(NOW + timedelta(seconds=wait)):
        in_time = await passes(throttles, key)

    assert (6, "6", False, True) == (wait, refused.value.headers["Retry-After"], early, in_time)


async def test_keys_and_names_are_counted_apart(throttles: Throttles, key: bytes) -> None:
    """Neither another key nor another name is touched by one that is used up."""
    once = Rate(1, per=timedelta(hours=1))
    with frozen_at(NOW):
        await throttles.take("test", key, once)
        others = [await passes(throttles, throttle_key("other", key.hex()), once)]
        others.append(await passes(throttles, key, once, name="another"))
        same = await passes(throttles, key, once)

    assert ([True, True], False) == (others, same)


async def test_rows_that_are_over_are_deleted_on_the_way(throttles: Throttles, database_urls: DatabaseUrls) -> None:
    """What cannot refuse anybody any more goes with later attempts; what still can stays."""
    old, live = f"old-{new_id()}", throttle_key(str(new_id()))
    with psycopg.connect(database_urls.conninfo) as connection:
        connection.execute(
            "INSERT INTO throttles SELECT %s, n::text::bytea, '2020-01-01' FROM generate_series(1, 20) n", [old]
        )
    with frozen_at(NOW):
        await throttles.take("live", live, Rate(1, per=timedelta(days=1)))
        for number in range(50):
            await throttles.take("many", throttle_key(str(number)), TEN)
    with psycopg.connect(database_urls.conninfo) as connection:
        left = connection.execute("SELECT count(*) FROM throttles WHERE name = %s", [old]).fetchone()
    with frozen_at(NOW):
        still_live = not await passes(throttles, live, Rate(1, per=timedelta(days=1)), name="live")

    assert ((0,), True) == (left, still_live)
    assert ROWS_PRUNED > 50


async def test_without_the_database_nobody_passes(key: bytes) -> None:
    """A throttle that cannot count refuses: it fails closed."""
    nowhere = psycopg_url("postgresql://tenantry_app@127.0.0.1:1/tenantry", "database_url")
    engine = create_engine(nowhere, Settings())
    throttles = Throttles()
    throttles.database = Database(engine)

    with pytest.raises(Unavailable):
        await throttles.take("test", key, TEN)
    await engine.dispose()


async def test_handlers_get_the_throttles(app: Litestar) -> None:
    """A handler or service that names `throttles` is given them, with the database of the application."""
    provide = app.dependencies["throttles"]

    assert isinstance(provide, Provide)
    assert app.state.database is provide.dependency().database


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("testclient", "testclient"),
    ],
)
def test_address_of_a_client_is_its_network(address: str, expected: str) -> None:
    """Nobody gets a new budget by taking another address of the /64 that is theirs."""
    assert expected == network_of(address)
