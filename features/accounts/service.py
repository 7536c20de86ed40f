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
from tenantry.errors import Unavailable
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
            registered = await UserRepository(unit_of_work).exists(email)
            if not registered:
                await SignUpRepository(unit_of_work).add(
                    email, data.name.strip(), password_hash, digest(token), LINK_LIFETIME
                )
        await self.mailer.send(already_registered(email) if registered else self._confirmation(email, token))

    async def resend(self, email: str) -> None:
        email = normalized(email)
        throttle = shared_key("verification-mail", digest(email).hex())
        if not await self.cache.add(throttle, True, ttl=MAIL_INTERVAL):
            return
        token = new_secret()
        async with self.database.transaction() as unit_of_work:
            renewed = await SignUpRepository(unit_of_work).renew_only(email, digest(token), LINK_LIFETIME)
        if renewed:
            try:
                await self.mailer.send(self._confirmation(email, token))
            except Unavailable:
                await self.cache.delete(throttle)
                raise

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
        return confirm_address(email, link)


def normalized(email: str) -> str:
    return email.strip().lower()


def confirm_address(email: str, link: str) -> Mail:
    return Mail(
        email,
        "Confirm your e-mail address",
        f"Welcome to Tenantry.\n\nOpen this link within 24 hours to confirm your address:\n\n{link}\n\n"
        "If it was not you who signed up, ignore this mail: without the link no account comes into being.\n",
    )


def already_registered(email: str) -> Mail:
    return Mail(
        email,
        "You already have an account",
        "Somebody, probably you, signed up to Tenantry with this address.\n"
        "It has an account already: log in with it.\n\n"
        "If it was not you, there is nothing to do.\n",
    )
