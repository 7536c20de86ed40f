"""From a sign-up to an account: mail and slow hashing, none of it while a connection is held."""

from datetime import timedelta

import structlog

from features.accounts.dtos import SignUp
from features.accounts.errors import InvalidVerification
from features.accounts.models import UserRow
from features.accounts.repository import SignUpRepository, UserRepository
from tenantry.cache import Cache, shared_key
from tenantry.config import Settings
from tenantry.db.database import Database
from tenantry.mail import Mail, Mailer
from tenantry.security.new_passwords import NewPasswords
from tenantry.security.passwords import PasswordService
from tenantry.security.secrets import digest, new_secret

_log = structlog.get_logger("features.accounts")
LINK_LIFETIME = timedelta(hours=24)
MAIL_INTERVAL = timedelta(minutes=1)


class AccountService:
    """From a sign-up to an account. Its answers do not tell whether an address is registered."""

    def __init__(
        self,
        database: Database,
        passwords: PasswordService,
        new_passwords: NewPasswords,
        mailer: Mailer,
        settings: Settings,
        cache: Cache,
    ) -> None:
        self.database, self.passwords, self.new_passwords = database, passwords, new_passwords
        self.mailer, self.settings, self.cache = mailer, settings, cache

    async def sign_up(self, data: SignUp) -> None:
        email = normalized(data.email)
        await self.new_passwords.check(data.password, about=[email, data.name])
        password_hash = await self.passwords.hash(data.password)
        token = new_secret()
        async with self.database.transaction() as unit_of_work:
            if await UserRepository(unit_of_work).exists(email):
                mail = self.mailer.write("already_registered", email)
            else:
                await SignUpRepository(unit_of_work).add(
                    email, data.name.strip(), password_hash, digest(token), LINK_LIFETIME
                )
                mail = self._confirmation(email, token)
            await self.mailer.send(mail, unit_of_work)

    async def resend(self, email: str) -> None:
        email = normalized(email)
        throttle = shared_key("verification-mail", digest(email).hex())
        if not await self.cache.add(throttle, True, ttl=MAIL_INTERVAL):
            return
        token = new_secret()
        async with self.database.transaction() as unit_of_work:
            # As long where there is nothing to send: the time of the answer must not tell who waits for a mail.
            confirmation = self._confirmation(email, token)
            if await SignUpRepository(unit_of_work).renew_only(email, digest(token), LINK_LIFETIME):
                await self.mailer.send(confirmation, unit_of_work)
            else:
                await self.mailer.send_nothing(unit_of_work)

    async def verify(self, token: str) -> None:
        async with self.database.transaction() as unit_of_work:
            confirmed = await SignUpRepository(unit_of_work).confirm(digest(token))
            if confirmed is None or await UserRepository(unit_of_work).exists(confirmed.email):
                raise InvalidVerification
            user = await UserRepository(unit_of_work).add(
                UserRow(email=confirmed.email, name=confirmed.name, password_hash=confirmed.password_hash)
            )
        _log.info("account.created", user=str(user.id))

    def _confirmation(self, email: str, token: str) -> Mail:
        link = f"{self.settings.base_url}/api/v1/auth/email/verify?token={token}"
        if not self.settings.is_production:
            _log.info("mail.link", link=link)
        return self.mailer.write("confirm_address", email, link=link, hours=LINK_LIFETIME // timedelta(hours=1))


def normalized(email: str) -> str:
    return email.strip().lower()
