from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from uuid import UUID

from features.sessions.api import GUESSING, knows_network
from tenantry.config import Settings
from tenantry.errors import AppError
from tenantry.limits.guesses import Budget, counted, of_network
from tenantry.limits.rate import Rate
from tenantry.limits.throttles import Throttles, throttle_key
from tenantry.visitor import Visitor

SECOND_STEPS = Rate(50, per=timedelta(days=1))
"""Beside the other budgets of an account: a code has so few digits that chance would find one in a few weeks."""


class GuessService:
    """How often the secrets of people may be guessed: one budget of each account for all of them and all ways in.

    Whoever is guessing from elsewhere uses up the budget that an account has for strangers. Networks where its owner
    was logged in lately have one each of their own, and the strangers' fills up again, so that nobody is locked out by
    another for good. That it is used up looks like a wrong guess: else it would tell when to go on.
    """

    def __init__(self, throttles: Throttles, settings: Settings) -> None:
        self.throttles = throttles
        self.of_account = Rate(settings.guesses_per_account, per=GUESSING)
        self.of_network = Rate(settings.guesses_per_network, per=GUESSING)
        self.of_all = Rate(settings.guesses_in_all, per=GUESSING) if settings.guesses_in_all else None

    @asynccontextmanager
    async def at_person(
        self, user_id: UUID, visitor: Visitor, *, wrong: type[AppError], is_second_step: bool = False
    ) -> AsyncIterator[None]:
        """As `at_account`, of somebody whom another proof has named."""
        async with self.throttles.database.transaction() as unit_of_work:
            at_home = await knows_network(unit_of_work, user_id, visitor)
        async with self.at_account(user_id, visitor, at_home=at_home, wrong=wrong, is_second_step=is_second_step):
            yield

    @asynccontextmanager
    async def at_account(
        self,
        who: UUID | str,
        visitor: Visitor,
        *,
        at_home: bool,
        wrong: type[AppError],
        is_second_step: bool = False,
    ) -> AsyncIterator[None]:
        """The block judges one guess, and raises `wrong` where it is; it must hold no connection then.

        `who` is the id of the account, or the address that none has; `at_home` whether the account knows the network.

        Raises:
            TooManyAttempts: of this network, or of all strangers.
            AppError: `wrong`, as if the guess were it: of this account.
        """
        key = throttle_key(str(who), visitor.network) if at_home else throttle_key(str(who))
        budgets = [
            of_network(visitor.network, self.of_network),
            Budget("guess-home" if at_home else "guess-account", key, self.of_account, wrong),
        ]
        if is_second_step:
            budgets.append(Budget("guess-second-step", key, SECOND_STEPS, wrong))
        if not at_home and self.of_all is not None:
            budgets.append(Budget("guess-all", throttle_key("all"), self.of_all))
        async with counted(self.throttles, *budgets, wrong=wrong):
            yield

    def at_anybody(self, visitor: Visitor) -> AbstractAsyncContextManager[None]:
        """Of a secret that says itself whose it is."""
        return counted(self.throttles, of_network(visitor.network, self.of_network))

    def at_client(self, visitor: Visitor) -> AbstractAsyncContextManager[None]:
        """Of a program: its key cannot be guessed, and nobody may make the service try."""
        return counted(self.throttles, Budget("guess-client", throttle_key(visitor.network), self.of_network))
