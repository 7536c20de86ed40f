"""A guess that was judged counts, whatever becomes of the answer."""

import asyncio
from contextlib import suppress

import pytest

from features.guesses.service import GuessService
from tenantry.config import Settings
from tenantry.db.database import Database
from tenantry.errors import Unauthenticated
from tenantry.ids import new_id
from tenantry.limits.throttles import Throttles
from tenantry.mail import Mailer
from tenantry.testing import elsewhere
from tenantry.visitor import Visitor

LIMITS = Settings()


class Wrong(Unauthenticated):
    code = "wrong"


class Failing(Mailer):
    def __init__(self, error: type[BaseException]) -> None:
        self.error = error

    async def notify(self, *_: object, **__: object) -> None:
        raise self.error


@pytest.mark.asvs("6.3.1")
@pytest.mark.parametrize("error", [ValueError, asyncio.CancelledError, TimeoutError])
async def test_wrong_guess_is_not_given_back(
    database: Database, settings: Settings, error: type[BaseException]
) -> None:
    """Of twenty guesses ten are judged, also where telling their owner fails, or takes longer than a request may."""
    throttles = Throttles()
    throttles.database = database
    guesses, judged, somebody = GuessService(throttles, settings, Failing(error)), [], new_id()
    for number in range(2 * LIMITS.guesses_per_account):
        visitor = Visitor("tests", elsewhere())
        with suppress(Wrong, error):
            async with guesses.at_account(somebody, visitor, at_home=False, wrong=Wrong, is_second_step=True):
                judged.append(number)
                raise Wrong

    assert [*range(LIMITS.guesses_per_account)] == judged
