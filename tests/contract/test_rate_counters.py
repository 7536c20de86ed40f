"""Requests are counted exactly, by one worker and by Redis; a Redis that hangs costs a moment, and seldom."""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from inspect import isawaitable
from uuid import uuid4

import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from tenantry.limits import rate
from tenantry.limits.limiter import Counter
from tenantry.limits.local_counter import LocalCounter
from tenantry.limits.rate import Ask, Limit, Outcome, Rate
from tenantry.limits.redis_counter import FIRST_PAUSE_SECONDS, RedisCounter
from tests.contract.redis_server import redis_server, silent_server

HOUR = timedelta(hours=1)
LIMIT, PATIENCE = "tenantry.limits.redis_counter.TIME_LIMIT_SECONDS", 20.0
SEVEN, TWENTY = Limit("seven", Rate(7, HOUR)), Limit("twenty", Rate(20, HOUR))
CLOSED = Limit("closed", Rate(20, HOUR, fails="closed"))


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    with redis_server() as (_, url):
        yield url


@pytest.fixture(params=["local", "redis"])
async def workers(request: pytest.FixtureRequest, patience: None, redis_url: str) -> AsyncIterator[list[Counter]]:
    """Two that share a Redis, or one alone."""
    if request.param == "local":
        yield [LocalCounter()] * 2
        return
    counters = [RedisCounter(redis_url, LocalCounter()) for _ in range(2)]
    yield [*counters]
    assert [0, 0] == [counter.faults for counter in counters]
    for counter in counters:
        await counter.close()


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not about faults must not fail on a busy machine."""
    monkeypatch.setattr(LIMIT, PATIENCE)


@pytest.fixture
def owner() -> str:
    return str(uuid4())


def ask(limit: Limit, owner: str) -> Ask:
    return rate.ask(limit, owner, owner)


async def outcome(counter: Counter, *asks: Ask) -> Outcome:
    found = counter.take(asks)
    answered = await found if isawaitable(found) else found
    assert answered is not None
    return answered


async def passed(counter: Counter, *asks: Ask) -> bool:
    return (await outcome(counter, *asks)).refused is None


async def test_of_parallel_requests_exactly_the_limit_passes(workers: list[Counter], owner: str) -> None:
    """Of 200 requests at once, through two workers that share a Redis or through one alone, as many pass as may."""
    asked = ask(TWENTY, owner)
    results = await asyncio.gather(*(passed(workers[number % 2], asked) for number in range(200)))

    assert 20 == sum(results)


async def test_a_request_is_counted_by_all_limits_or_by_none(workers: list[Counter], owner: str) -> None:
    """What one limit refuses uses up nothing of another."""
    both = ask(SEVEN, owner), ask(TWENTY, owner)
    first = [await passed(workers[0], *both) for _ in range(10)]
    refused = await outcome(workers[1], *both)
    then = [await passed(workers[1], both[1]) for _ in range(14)]

    assert [True] * 7 + [False] * 3 == first
    assert 0 == refused.refused
    assert [True] * 13 + [False] == then


async def test_answer_says_what_is_left_and_when_there_is_more(workers: list[Counter], owner: str) -> None:
    """`r` counts down to 0, and `t` is at most one interval; a refusal has to wait as long as `t` says."""
    standings = []
    for _ in range(7):
        found = await outcome(workers[0], ask(SEVEN, owner))
        standings.append(SEVEN.standing(found.ahead[0]))
    refused = await outcome(workers[0], ask(SEVEN, owner))
    left = [int(text.split("r=")[1].split(";")[0]) for text in standings]
    more = [int(text.split("t=")[1]) for text in standings]

    assert [6, 5, 4, 3, 2, 1, 0] == left
    assert all(0 < seconds <= 515 for seconds in more)
    assert 500_000_000 < refused.wait <= 515_000_000
    assert '"seven";q=7;w=3600' == SEVEN.policy


def test_one_worker_counts_by_the_time_that_has_passed() -> None:
    """A limit fills up again evenly, and never beyond itself."""
    moments = [0]
    counter, asked = LocalCounter(lambda: moments[0]), ask(SEVEN, "x")

    def passing() -> int:
        return sum(counter.take([asked]).refused is None for _ in range(20))

    counts = [passing()]
    for step in (SEVEN.interval - 1, 1, 3 * SEVEN.interval, 100 * SEVEN.depth):
        moments[0] += step
        counts.append(passing())

    assert [7, 0, 1, 3, 7] == counts


def test_one_worker_forgets_who_does_not_come_back() -> None:
    """Strangers from 100,000 addresses, each of whom comes once, take no more room than those of one hour."""
    moments = [0]
    counter = LocalCounter(lambda: moments[0])
    for number in range(100_000):
        moments[0] += SEVEN.interval // 100
        counter.take([ask(SEVEN, str(number))])

    assert len(counter) <= 201


async def test_redis_that_has_forgotten_the_script_is_told_it_again(patience: None, redis_url: str, owner: str) -> None:
    """A restart or SCRIPT FLUSH costs nothing but one more call; the count goes on."""
    counter = RedisCounter(redis_url, LocalCounter())
    before = [await passed(counter, ask(SEVEN, owner)) for _ in range(4)]
    async with Redis.from_url(redis_url) as redis:
        await redis.script_flush()
        after = [await passed(counter, ask(SEVEN, owner)) for _ in range(4)]
        lives = [await redis.pttl(key) async for key in redis.scan_iter(f"*{owner}*")]
    await counter.close()

    assert ([True] * 4, [True] * 3 + [False], 0) == (before, after, counter.faults)
    assert len(lives) == 1
    assert 0 < lives[0] <= 3_600_000


async def test_hung_redis_costs_a_moment_and_seldom(owner: str) -> None:
    """While Redis takes calls and never answers, each worker counts on; after the first wave one request in a while
    tries Redis again, and limits that fail closed let nobody pass.
    """
    moments = [0.0]
    async with silent_server() as silence:
        counter = RedisCounter(silence.url, LocalCounter(), clock=lambda: moments[0])
        asks = [ask(TWENTY, owner)] * 50
        wave = await asyncio.wait_for(asyncio.gather(*(counter.take([each]) for each in asks)), 20)
        faults = counter.faults
        quiet = [await counter.take([ask(TWENTY, owner)]) for _ in range(1000)]
        closed = [await counter.take([ask(CLOSED, owner)]) for _ in range(3)]
        without_a_try = counter.faults - faults
        moments[0] += FIRST_PAUSE_SECONDS
        again = await asyncio.gather(*(counter.take([each]) for each in asks))
        await counter.close()

    assert 20 == sum(found is not None and found.refused is None for found in wave)
    assert {False} == {found is None or found.refused is None for found in [*quiet, *again]}
    assert [None] * 3 == closed
    assert (0, 1) == (without_a_try, counter.faults - faults)
    assert silence.connections <= 51


@pytest.mark.parametrize("fault", [signal.SIGKILL, signal.SIGSTOP])
async def test_lost_redis_is_found_again(
    monkeypatch: pytest.MonkeyPatch, patience: None, fault: signal.Signals, owner: str
) -> None:
    """A Redis that dies or stops is no error; one that goes on is used again, with what it counted before."""
    moments = [0.0]
    with redis_server() as (process, url), capture_logs() as logs:
        counter = RedisCounter(url, LocalCounter(), clock=lambda: moments[0])
        before = [await passed(counter, ask(SEVEN, owner)) for _ in range(7)]
        process.send_signal(fault)
        monkeypatch.setattr(LIMIT, 0.05)
        during = [await passed(counter, ask(SEVEN, owner)) for _ in range(8)]
        process.send_signal(signal.SIGCONT)
        monkeypatch.setattr(LIMIT, PATIENCE)
        moments[0] += 1000
        after = await passed(counter, ask(SEVEN, owner))
        await counter.close()

    assert [True] * 7 == before
    assert [True] * 7 + [False] == during
    assert not after
    assert {"limits.redis_unavailable"} == {log["event"] for log in logs}
    assert owner not in str(logs)


async def test_cancelled_calls_do_not_poison_later_ones(patience: None, redis_url: str) -> None:
    """Of 300 requests that are given up at random moments none leaves its reply to another."""
    counter, wrong = RedisCounter(redis_url, LocalCounter()), 0
    for number in range(300):
        task = asyncio.create_task(outcome(counter, ask(SEVEN, f"{uuid4()}")))
        await asyncio.sleep(0.0001 * (number % 20))
        task.cancel()
        pair = ask(TWENTY, f"{uuid4()}"), ask(SEVEN, f"{uuid4()}")
        found = await outcome(counter, *pair)
        wrong += len(found.ahead) != 2 or found.refused is not None
        await asyncio.gather(task, return_exceptions=True)
    await counter.close()

    assert (0, 0) == (wrong, counter.faults)
