import asyncio
from datetime import timedelta

import httpx
from structlog.testing import capture_logs

from features.mfa.tests.people import challenge_of, enrolled, verify
from tenantry.clock import frozen_at, now
from tenantry.testing import Api, World, problem

STEP = timedelta(seconds=30)
GUESSES = 200
AT_ONCE = asyncio.Semaphore(25)
UNIQUE = {"request_id": "", "instance": ""}


async def test_parallel_guesses(api: Api, world: World) -> None:
    """Of 200 guesses at once five are judged; then a right code of either kind looks like a wrong one."""
    ada = await world.account()
    with frozen_at(now()), capture_logs() as lines:
        phone = await enrolled(api, ada)
        challenge = await challenge_of(api, ada)
        guesses = [phone.wrong_code(), "0000-0000-0000-0000-0000-0000"] * (GUESSES // 2)
        answers = await asyncio.gather(*(patiently(api, challenge, guess) for guess in guesses))
        locked = [await verify(api, challenge, code) for code in (phone.code(now() + STEP), phone.recovery_codes[0])]

    judged = [line["judged"] for line in lines if line["event"] == "second-factor.refused"]
    bodies = {tuple(sorted((answer.json() | UNIQUE).items())) for answer in (*answers, *locked)}
    assert (5, GUESSES + 2) == (judged.count(True), len(judged))
    assert [problem(401, "invalid_code")] * 2 == locked
    assert 1 == len(bodies)


async def patiently(api: Api, challenge: str, guess: str) -> httpx.Response:
    """At most as many at once as the pool of the tests answers in time; beyond, the answer is 503."""
    async with AT_ONCE:
        return await verify(api, challenge, guess)


async def test_guesses_of_an_account(api: Api, world: World) -> None:
    """New challenges give no new guesses: ten of an account are judged, in parallel, and an hour later again."""
    ada = await world.account()
    start = now()
    with frozen_at(start), capture_logs() as lines:
        phone = await enrolled(api, ada)
        challenges = [await challenge_of(api, ada) for _ in range(3)]
        tried = [(challenge, phone.wrong_code()) for challenge in challenges for _ in range(4)]
        await asyncio.gather(*(patiently(api, challenge, code) for challenge, code in tried))
        locked = await verify(api, await challenge_of(api, ada), phone.recovery_codes[0])
    with frozen_at(start + timedelta(hours=1)):
        free = await verify(api, await challenge_of(api, ada), phone.recovery_codes[0])

    judged = [line["judged"] for line in lines if line["event"] == "second-factor.refused"]
    assert 10 == judged.count(True)
    assert problem(401, "invalid_code") == locked
    assert 200 == free.status_code


async def test_success_forgets_failures(api: Api, world: World) -> None:
    """Nine wrong codes and a right one leave all ten guesses to the next time."""
    ada = await world.account()
    with frozen_at(now()):
        phone = await enrolled(api, ada)
        for recovery_code in phone.recovery_codes[:2]:
            challenges = [await challenge_of(api, ada) for _ in range(3)]
            wrong = [await verify(api, challenges[guess // 4], phone.wrong_code()) for guess in range(9)]
            right = await verify(api, challenges[2], recovery_code)

            assert {401} == {answer.status_code for answer in wrong}
            assert 200 == right.status_code
