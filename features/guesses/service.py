from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from datetime import timedelta
from uuid import UUID

import structlog
from sqlalchemy.exc import TimeoutError as PoolTimeout

from features.sessions.api import GUESSING, knows_network
from tenantry.config import Settings
from tenantry.db.session import UnitOfWork
from tenantry.errors import AppError, Unavailable
from tenantry.limits.guesses import Budget, Pretend, counted, of_network
from tenantry.limits.rate import Rate
from tenantry.limits.throttles import Throttles, TooManyAttempts, throttle_key
from tenantry.mail import Mailer
from tenantry.visitor import Visitor

_log = structlog.get_logger("features.guesses")
SEVERAL = 5
WRONG = Rate(20, per=timedelta(days=1))
"""Only a measure: of more than these nobody keeps count, and each is forgotten within a day."""
MISSED = Rate(2, per=timedelta(days=1))
"""Beyond them an owner hears of it."""
TOLD = Rate(1, per=timedelta(days=1))
SECOND_STEPS = Rate(50, per=timedelta(days=1))
"""Beside the other budgets of an account: a code has so few digits that chance would find one in a few weeks."""

HOMES = 3
"""So many networks that an account knows may use up theirs at once: one of them alone cannot shut the others."""


class Suspicions:
    """What the owner of an account hears of guesses that were judged: several wrong ones that a right one follows, and
    a first step that is right while the second keeps being wrong. At most one mail of a kind in a day, whoever guesses.
    """

    def __init__(self, throttles: Throttles, mailer: Mailer) -> None:
        self.throttles, self.mailer = throttles, mailer

    async def note_wrong(self, who: UUID | str, visitor: Visitor, *, is_second_step: bool) -> None:
        """Of an address that nobody has as well, so that it takes as long."""
        key = throttle_key(str(who))
        async with self.throttles.database.transaction() as unit_of_work:
            await self._passes(unit_of_work, "wrong-guesses", key, WRONG)
            if is_second_step and not await self._passes(unit_of_work, "wrong-second-steps", key, MISSED):
                await self._tell(unit_of_work, "second_step_missed", who, visitor)

    async def note_right(self, user_id: UUID, visitor: Visitor) -> None:
        async with self.throttles.database.transaction() as unit_of_work:
            before = await self.throttles.forget_within(
                unit_of_work, "wrong-guesses", throttle_key(str(user_id)), WRONG
            )
            if before >= SEVERAL:
                await self._tell(unit_of_work, "guessed_right", user_id, visitor)

    async def _tell(self, unit_of_work: UnitOfWork, what: str, who: UUID | str, visitor: Visitor) -> None:
        if isinstance(who, UUID) and await self._passes(unit_of_work, f"told-{what}", throttle_key(str(who)), TOLD):
            await self.mailer.notify(who, what, unit_of_work, visitor=visitor)
            _log.warning("guesses.suspicious", user=str(who), what=what)

    async def _passes(self, unit_of_work: UnitOfWork, name: str, key: bytes, rate: Rate) -> bool:
        try:
            await self.throttles.take_within(unit_of_work, name, key, rate)
        except TooManyAttempts:
            return False
        return True


class GuessService:
    """How often the secrets of people may be guessed: one budget of each account for all of them and all ways in.

    Whoever is guessing from elsewhere uses up the budget that an account has for strangers. Networks where its owner
    has logged in have one each of their own, and one together, and the strangers' fills up again, so that nobody is
    locked out by another for good. That it is used up looks like a wrong guess: else it would tell when to go on.
    """

    def __init__(self, throttles: Throttles, settings: Settings, mailer: Mailer) -> None:
        self.throttles, self.suspicions = throttles, Suspicions(throttles, mailer)
        self.of_account = Rate(settings.guesses_per_account, per=GUESSING)
        self.of_homes = Rate(HOMES * settings.guesses_per_account, per=GUESSING)
        self.of_network = Rate(settings.guesses_per_network, per=GUESSING)
        self.of_all = Rate(settings.guesses_in_all, per=GUESSING) if settings.guesses_in_all else None

    @asynccontextmanager
    async def at_person(
        self,
        user_id: UUID,
        visitor: Visitor,
        *,
        wrong: type[AppError],
        is_second_step: bool = False,
        pretend: Pretend | None = None,
    ) -> AsyncIterator[None]:
        """As `at_account`, of somebody whom another proof has named."""
        async with self.throttles.database.transaction() as unit_of_work:
            at_home = await knows_network(unit_of_work, user_id, visitor)
        async with self.at_account(
            user_id, visitor, at_home=at_home, wrong=wrong, is_second_step=is_second_step, pretend=pretend
        ):
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
        pretend: Pretend | None = None,
    ) -> AsyncIterator[None]:
        """The block judges one guess, and raises `wrong` where it is; it must hold no connection then.

        `who` is the id of the account, or the address that none has; `at_home` whether the account knows the network.
        `pretend` takes the time that judging would, where the account's budget is used up.

        Raises:
            TooManyAttempts: of this network, or of all strangers.
            AppError: `wrong`, as if the guess were it: of this account.
        """
        budgets = self._budgets(str(who), visitor, wrong, at_home=at_home, is_second_step=is_second_step)
        was_judged = False
        try:
            async with counted(self.throttles, *budgets, wrong=wrong, pretend=pretend):
                was_judged = True
                yield
        except wrong:
            # Counted by now, whatever becomes of telling; and it stays a wrong guess where the service is busy.
            with suppress(Unavailable, PoolTimeout):
                await self.suspicions.note_wrong(who, visitor, is_second_step=is_second_step and was_judged)
            raise
        if isinstance(who, UUID):
            with suppress(Unavailable, PoolTimeout):
                await self.suspicions.note_right(who, visitor)

    def _budgets(
        self, who: str, visitor: Visitor, wrong: type[AppError], *, at_home: bool, is_second_step: bool
    ) -> list[Budget]:
        """Those of many first: what an account's refuses counts for them, since it costs as much as what is judged."""
        budgets = [of_network(visitor.network, self.of_network)]
        if at_home:
            budgets += [
                Budget("guess-home", throttle_key(who, visitor.network), self.of_account, wrong),
                Budget("guess-homes", throttle_key(who), self.of_homes, wrong),
            ]
        else:
            budgets += [Budget("guess-all", throttle_key("all"), self.of_all)] if self.of_all else []
            budgets.append(Budget("guess-account", throttle_key(who), self.of_account, wrong))
        if is_second_step:
            key = throttle_key(who, "home") if at_home else throttle_key(who)
            budgets.append(Budget("guess-second-step", key, SECOND_STEPS, wrong))
        return budgets

    def at_anybody(self, visitor: Visitor) -> AbstractAsyncContextManager[None]:
        """Of a secret that says itself whose it is."""
        return counted(self.throttles, of_network(visitor.network, self.of_network))

    def at_client(self, visitor: Visitor) -> AbstractAsyncContextManager[None]:
        """Of a program: its key cannot be guessed, and nobody may make the service try."""
        return counted(self.throttles, Budget("guess-client", throttle_key(visitor.network), self.of_network))
