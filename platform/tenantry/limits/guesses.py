"""Guesses at a secret: each is counted before it is judged, and given back where it was no wrong one.

    async with counted(throttles, of_network(visitor.network, Rate(100, per=TEN_MINUTES)), wrong=InvalidCredentials):
        found = await ...                    # raises `InvalidCredentials` where the guess is wrong

So any number that come at once are no more than the budget, and people who are right never use it up.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress

import msgspec
from sqlalchemy.exc import TimeoutError as PoolTimeout

from tenantry.errors import AppError, Unauthenticated, Unavailable
from tenantry.limits.rate import Rate
from tenantry.limits.throttles import Throttles, TooManyAttempts, throttle_key

__all__ = ("Budget", "Pretend", "counted", "of_network")

Pretend = Callable[[], Awaitable[None]]


class Budget(msgspec.Struct, frozen=True):
    name: str
    key: bytes
    rate: Rate
    exhausted: type[AppError] | None = None
    """Of the kind `wrong`, raised once it is used up: it looks like a wrong guess; else 429 `too_many_attempts`."""


def of_network(network: str, rate: Rate) -> Budget:
    """One for all secrets of people that are guessed from there, whichever they are."""
    return Budget("guess-network", throttle_key(network), rate)


@asynccontextmanager
async def counted(
    throttles: Throttles, *budgets: Budget, wrong: type[AppError] = Unauthenticated, pretend: Pretend | None = None
) -> AsyncIterator[None]:
    """The block judges one guess; what it raises of the kind `wrong` says that it was.

    `pretend` takes the time that judging would, where a budget is used up and that looks like a wrong guess.

    Raises:
        TooManyAttempts, or what a budget names: it is used up. The block does not run then.
    """
    taken, refusal = await _take(throttles, budgets)
    try:
        if refusal is not None:
            await _refuse(refusal, pretend)
        yield
    except wrong:
        raise
    except BaseException:
        # Nobody has learnt anything from it: the service was busy, or the client has left.
        await asyncio.shield(_give_back(throttles, taken))
        raise
    # What has succeeded does not fail for this: the budget fills up again by itself.
    with suppress(Unavailable, PoolTimeout):
        await _give_back(throttles, taken)


async def _take(throttles: Throttles, budgets: Sequence[Budget]) -> tuple[list[Budget], AppError | None]:
    """All, or none; but one that looks like a wrong guess leaves it counted by those before."""
    taken: list[Budget] = []
    refusal = None
    async with throttles.database.transaction() as unit_of_work:
        for budget in budgets:
            try:
                await throttles.take_within(unit_of_work, budget.name, budget.key, budget.rate)
            except TooManyAttempts:
                if budget.exhausted is None:
                    raise
                refusal = budget.exhausted()
                break
            taken.append(budget)
    await throttles.prune_at_times()
    return taken, refusal


async def _refuse(refusal: AppError, pretend: Pretend | None) -> None:
    if pretend is not None:
        await pretend()
    raise refusal


async def _give_back(throttles: Throttles, budgets: Sequence[Budget]) -> None:
    async with throttles.database.transaction() as unit_of_work:
        for budget in budgets:
            await throttles.give_back_within(unit_of_work, budget.name, budget.key, budget.rate)
