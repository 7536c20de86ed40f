"""From one password to the next. No connection waits while one is hashed or looked up among breached ones."""

from datetime import timedelta
from functools import partial
from uuid import UUID

import structlog

from features.accounts.api import (
    account_of,
    credentials_of,
    credentials_of_user,
    normalized,
    replace_hash,
    set_password,
)
from features.guesses.api import GuessService
from features.passwords.dtos import PasswordChange
from features.passwords.errors import InvalidReset, WrongPassword
from features.passwords.repository import PasswordResetRepository
from features.sessions.api import end_sessions
from features.tenants.api import tenants_of
from tenantry.config import Settings
from tenantry.db.database import Database
from tenantry.db.session import UnitOfWork
from tenantry.ids import new_id
from tenantry.limits.rate import Rate
from tenantry.limits.throttles import Throttles, TooManyAttempts, throttle_key
from tenantry.mail import Mailer
from tenantry.security.new_passwords import NewPasswords
from tenantry.security.passwords import PasswordService
from tenantry.security.principal import Principal
from tenantry.security.secrets import digest, new_secret
from tenantry.visitor import Visitor

_log = structlog.get_logger("features.passwords")
LINK_LIFETIME = timedelta(minutes=30)
MAILS_TO_ONE_ADDRESS = Rate(3, per=timedelta(hours=1))
ASKED_FROM_ONE_NETWORK = Rate(60, per=timedelta(hours=1))


class PasswordChangeService:
    def __init__(
        self,
        unit_of_work: UnitOfWork,
        database: Database,
        passwords: PasswordService,
        new_passwords: NewPasswords,
        guesses: GuessService,
        mailer: Mailer,
    ) -> None:
        self.unit_of_work, self.database = unit_of_work, database
        self.passwords, self.new_passwords = passwords, new_passwords
        self.guesses, self.mailer = guesses, mailer

    async def change(self, data: PasswordChange, principal: Principal, visitor: Visitor) -> None:
        """
        Raises:
            TooManyAttempts: of the network, whoever is guessing there.
            WrongPassword: it is not the current one, or no longer; or there were too many guesses at the account.
        """
        user_id = principal.subject_id
        async with self.database.transaction() as reading:
            found = await credentials_of_user(reading, user_id)
            known_words = await words_about(reading, user_id)
        before = found.password_hash if found else None
        pretend = partial(self.passwords.pretend, data.current_password)
        async with self.guesses.at_person(user_id, visitor, wrong=WrongPassword, pretend=pretend):
            if not await self.passwords.verify(data.current_password, before):
                _log.warning("password.change_refused", user=str(user_id))
                raise WrongPassword
        await self.new_passwords.check(data.password, about=known_words)
        after = await self.passwords.hash(data.password)
        if not await replace_hash(self.unit_of_work, user_id, before, after):
            raise WrongPassword
        await end_sessions(self.unit_of_work, user_id, "password_changed", but=principal.session)
        await PasswordResetRepository(self.unit_of_work).revoke_all(user_id)
        await self.mailer.notify(user_id, "password_changed", self.unit_of_work, visitor=visitor)
        _log.info("password.changed", user=str(user_id))


class PasswordResetService:
    """Of a forgotten password. A second factor stays as it is: a new password is the first step of a log-in again."""

    def __init__(
        self,
        database: Database,
        passwords: PasswordService,
        new_passwords: NewPasswords,
        throttles: Throttles,
        mailer: Mailer,
        settings: Settings,
    ) -> None:
        self.database, self.passwords, self.new_passwords = database, passwords, new_passwords
        self.throttles, self.mailer, self.settings = throttles, mailer, settings

    async def send(self, email: str, visitor: Visitor) -> None:
        """Neither the answer nor its time tells whether there is such an account.

        Raises:
            TooManyAttempts: for the network; an address that gets too much mail is told to nobody.
        """
        email = normalized(email)
        await self.throttles.take("forgot-network", throttle_key(visitor.network), ASKED_FROM_ONE_NETWORK)
        try:
            await self.throttles.take("forgot-address", throttle_key(email), MAILS_TO_ONE_ADDRESS)
        except TooManyAttempts:
            return
        token = new_secret()
        link = f"{self.settings.base_url}/api/v1/auth/password/reset?token={token}"
        mail = self.mailer.write("reset_password", email, link=link, minutes=LINK_LIFETIME // timedelta(minutes=1))
        async with self.database.transaction() as unit_of_work:
            found = await credentials_of(unit_of_work, email)
            owner = found.user_id if found and not found.disabled else None
            await PasswordResetRepository(unit_of_work).add(owner or new_id(), digest(token), LINK_LIFETIME)
            await (self.mailer.send(mail, unit_of_work) if owner else self.mailer.send_nothing(unit_of_work))
        if owner is None:
            return
        if not self.settings.is_production:
            _log.info("mail.link", link=link)

    async def reset(self, token: str, password: str, visitor: Visitor) -> None:
        """Ends all sessions and begins none.

        Raises:
            InvalidReset: the link is not good, or its account is disabled. It stays good where the password is refused.
        """
        async with self.database.transaction() as reading:
            owner = await PasswordResetRepository(reading).owner(digest(token))
            found = await credentials_of_user(reading, owner) if owner else None
            if found is None or found.disabled:
                raise InvalidReset
            known_words = await words_about(reading, found.user_id)
        await self.new_passwords.check(password, about=known_words)
        password_hash = await self.passwords.hash(password)
        async with self.database.transaction() as unit_of_work:
            user_id = await PasswordResetRepository(unit_of_work).redeem(digest(token))
            if user_id is None:
                raise InvalidReset
            await set_password(unit_of_work, user_id, password_hash)
            await end_sessions(unit_of_work, user_id, "password_reset")
            await self.mailer.notify(user_id, "password_changed", unit_of_work, visitor=visitor)
        _log.info("password.reset", user=str(user_id))


async def words_about(unit_of_work: UnitOfWork, user_id: UUID) -> list[str]:
    """What others know of somebody who has proven who they are: it makes no password."""
    account = await account_of(unit_of_work, user_id)
    tenants = await tenants_of(unit_of_work, user_id)
    return [account.name, account.email, *(word for tenant in tenants for word in (tenant.name, tenant.slug))]
