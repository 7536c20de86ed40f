"""What people do with their own account."""

from datetime import timedelta

import structlog
from msgspec import UNSET

from features.accounts.api import (
    Account,
    account_of,
    anonymize,
    change_address,
    credentials_of_user,
    is_registered,
    normalized,
    rename,
)
from features.me.dtos import MePatch, MyData
from features.me.errors import InvalidAddressChange, SameAddress
from features.me.models import LIFETIME
from features.me.repository import AddressChangeRepository
from features.passwords.api import revoke_resets
from features.sessions.api import end_sessions, forget_visitors, sessions_of
from features.tenants.api import MembershipService, tenants_of
from tenantry.clock import now
from tenantry.config import Settings
from tenantry.db.database import Database
from tenantry.db.session import UnitOfWork
from tenantry.limits.rate import Rate
from tenantry.limits.throttles import Throttles, throttle_key
from tenantry.mail import Mailer
from tenantry.security.principal import Principal
from tenantry.security.secrets import digest, new_secret
from tenantry.tenancy.people import forget_belongings
from tenantry.visitor import Visitor

_log = structlog.get_logger("features.me")
ADDRESSES_TRIED = Rate(5, per=timedelta(hours=1))


class ProfileService:
    def __init__(self, unit_of_work: UnitOfWork) -> None:
        self.unit_of_work = unit_of_work

    async def get(self, principal: Principal) -> Account:
        return await account_of(self.unit_of_work, principal.subject_id)

    async def change(self, data: MePatch, principal: Principal) -> Account:
        if data.name is UNSET:
            return await self.get(principal)
        return await rename(self.unit_of_work, principal.subject_id, data.name.strip())

    async def export(self, principal: Principal) -> MyData:
        user_id = principal.subject_id
        known = await credentials_of_user(self.unit_of_work, user_id)
        return MyData(
            exported_at=now(),
            profile=await self.get(principal),
            has_password=known is not None and known.password_hash is not None,
            has_second_factor=known is not None and known.has_second_factor,
            pending_address=await AddressChangeRepository(self.unit_of_work).pending(user_id),
            tenants=await tenants_of(self.unit_of_work, user_id),
            sessions=await sessions_of(self.unit_of_work, user_id),
        )


class AddressService:
    """An address changes when both ends have said so: who has taken over a session does not have the old mailbox,
    and who mistypes does not have the new one."""

    def __init__(
        self, unit_of_work: UnitOfWork, database: Database, throttles: Throttles, mailer: Mailer, settings: Settings
    ) -> None:
        self.unit_of_work, self.database = unit_of_work, database
        self.throttles, self.mailer, self.settings = throttles, mailer, settings

    async def begin(self, email: str, principal: Principal) -> None:
        """The answer does not tell whether the new address is somebody's: in either case both get a mail.

        Raises:
            SameAddress: it is their own.
        """
        email, user_id = normalized(email), principal.subject_id
        await self.throttles.take("address-change", throttle_key(str(user_id)), ADDRESSES_TRIED)
        account = await account_of(self.unit_of_work, user_id)
        if account.email == email:
            raise SameAddress
        old_token, new_token = new_secret(), new_secret()
        changes = AddressChangeRepository(self.unit_of_work)
        await changes.begin(user_id, email, digest(old_token), digest(new_token))
        hours = LIFETIME // timedelta(hours=1)
        values = {"link": self._link(old_token), "email": email, "hours": hours}
        to_old = self.mailer.write("approve_new_address", account.email, **values)
        to_new = self.mailer.write("confirm_new_address", email, link=self._link(new_token), hours=hours)
        if await is_registered(self.unit_of_work, email):
            to_new = self.mailer.write("address_in_use", email)
        for mail in (to_old, to_new):
            await self.mailer.send(mail, self.unit_of_work)

    async def confirm(self, token: str, visitor: Visitor) -> bool:
        """One of the two ends; whether the address has changed by that.

        Raises:
            InvalidAddressChange: the link is not good, or somebody else has the address by now.
        """
        async with self.database.transaction() as unit_of_work:
            has_changed = await self._confirm(unit_of_work, digest(token), visitor)
        if has_changed is None:
            raise InvalidAddressChange
        return has_changed

    async def _confirm(self, unit_of_work: UnitOfWork, token_hash: bytes, visitor: Visitor) -> bool | None:
        changes = AddressChangeRepository(unit_of_work)
        change = await changes.locked(token_hash)
        if change is None:
            return None
        user_id, email = change.user_id, change.email
        is_complete = change.confirm(token_hash)
        await unit_of_work.flush()
        if not is_complete:
            return False
        await changes.forget(user_id)
        known = await credentials_of_user(unit_of_work, user_id)
        if known is None or known.disabled or await is_registered(unit_of_work, email):
            return None
        before = await account_of(unit_of_work, user_id)
        await change_address(unit_of_work, user_id, email)
        # A link that is on its way to the old address must not set a password any more.
        await revoke_resets(unit_of_work, user_id)
        for address in (before.email, email):
            await self.mailer.notify(user_id, "address_changed", unit_of_work, visitor=visitor, about=email, to=address)
        _log.info("account.address_changed", user=str(user_id))
        return True

    def _link(self, token: str) -> str:
        link = f"{self.settings.base_url}/api/v1/me/email/confirm?token={token}"
        if not self.settings.is_production:
            _log.info("mail.link", link=link)
        return link


class DepartureService:
    """The end of an account. Its row stays, without anything that says whose it was: others refer to its id."""

    def __init__(self, unit_of_work: UnitOfWork, mailer: Mailer) -> None:
        self.unit_of_work, self.mailer = unit_of_work, mailer

    async def depart(self, principal: Principal) -> None:
        """
        Raises:
            LastOwner: of one of their tenants; nothing has changed then.
        """
        user_id = principal.subject_id
        account = await account_of(self.unit_of_work, user_id)
        await MembershipService(self.unit_of_work).leave_all(user_id)
        await forget_belongings(self.unit_of_work, user_id)
        await end_sessions(self.unit_of_work, user_id, "account_deleted")
        await forget_visitors(self.unit_of_work, user_id)
        farewell = self.mailer.write("account_deleted", account.email, person=account.name)
        await self.mailer.send(farewell, self.unit_of_work)
        await anonymize(self.unit_of_work, user_id)
        _log.info("account.deleted", user=str(user_id))
