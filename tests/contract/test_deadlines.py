"""Deadlines that share one timer end what takes too long, and nothing else."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

import pytest

from tenantry.http.deadlines import Deadlines

SECONDS = 0.16


async def timed(work: Callable[[], Awaitable[object]], deadlines: Deadlines) -> tuple[object, float]:
    """What came of the work under a deadline, and after how many seconds."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    try:
        with deadlines.start():
            return await work(), loop.time() - began
    except TimeoutError:
        return TimeoutError, loop.time() - began


async def test_what_takes_too_long_is_ended() -> None:
    """Of many at once those end that last too long, none before its time, and the others finish."""
    deadlines = Deadlines(SECONDS)
    naps = [0.0, 0.01, 10.0, 0.02, 10.0] * 20
    found = await asyncio.gather(*(timed(partial(asyncio.sleep, nap, nap), deadlines) for nap in naps))

    assert [TimeoutError if nap == 10 else nap for nap in naps] == [outcome for outcome, _ in found]
    assert all(SECONDS * 0.9 < seconds < 5 for outcome, seconds in found if outcome is TimeoutError)
    assert not deadlines.running


async def test_deadline_that_is_stopped_ends_nothing() -> None:
    """A stream takes as long as it takes: whoever stops the deadline is left alone."""
    deadlines = Deadlines(SECONDS)
    with deadlines.start() as deadline:
        deadline.stop()
        await asyncio.sleep(SECONDS * 2)

    assert not deadline.expired


async def test_cancellation_by_others_is_no_timeout() -> None:
    """Who is cancelled by somebody else is cancelled, also when the time is up at the same moment."""
    deadlines = Deadlines(SECONDS)

    async def both() -> None:
        with deadlines.start() as deadline:
            deadline.expire()
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            await asyncio.sleep(10)

    with pytest.raises(asyncio.CancelledError):
        await asyncio.create_task(both())


async def test_timer_rests_and_wakes() -> None:
    """When nothing runs, nothing is watched; what starts later is ended as well."""
    deadlines = Deadlines(SECONDS)
    first, _ = await timed(lambda: asyncio.sleep(10), deadlines)
    await asyncio.sleep(SECONDS / 2)
    resting = deadlines.watched_by
    second, _ = await timed(lambda: asyncio.sleep(10), deadlines)

    assert (TimeoutError, None, TimeoutError) == (first, resting, second)
