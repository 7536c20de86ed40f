"""Whoever owns an account hears of every change of what it is proven with."""

import pytest

from features.mfa.commands import reset
from features.mfa.tests.people import enrolled, enter
from features.mfa.tests.test_totp import STEP
from tenantry.clock import now
from tenantry.config import Settings
from tenantry.db.database import Database
from tenantry.mail import standalone_mailer
from tenantry.testing import Api, Mailbox, World


@pytest.mark.asvs("6.3.7")
async def test_changes_are_told(api: Api, world: World, mailbox: Mailbox) -> None:
    """An app that is added or removed and new recovery codes, each in a mail with what it was and from where."""
    ada = await world.account()
    phone = await enrolled(api, ada)
    proven = api.bearing((await enter(api, ada, phone.code(now() + STEP)))["access_token"])
    await proven.post("/auth/mfa/recovery-codes")
    await proven.delete("/auth/mfa/totp")
    mails = [mail for mail in mailbox.to(ada.email) if "New log-in" not in mail["Subject"]]

    assert [
        "A way to prove who you are was added",
        "Your recovery codes were replaced",
        "A way to prove who you are was removed",
    ] == [mail["Subject"] for mail in mails]
    assert ["an authenticator app" in mail.get_content() for mail in mails] == [True, False, True]
    assert all("Address: 2001:db8:" in mail.get_content() for mail in mails)


async def test_refusals_are_not_told(api: Api, world: World, mailbox: Mailbox) -> None:
    """What did not happen is no news."""
    ada = await world.account()
    await api.as_(ada).post("/auth/mfa/totp")
    await api.as_(ada).post("/auth/mfa/totp/confirm", json={"code": "recovery"})
    await api.as_(ada).post("/auth/mfa/recovery-codes")
    await api.as_(ada).delete("/auth/mfa/totp")

    assert [] == mailbox.to(ada.email)


@pytest.mark.asvs("6.3.7")
async def test_reset_is_told(api: Api, world: World, mailbox: Mailbox, database: Database, settings: Settings) -> None:
    """When an operator removes all factors, the owner hears that it was an operator."""
    ada = await world.account()
    await enrolled(api, ada)
    async with database.transaction() as unit_of_work:
        await reset(unit_of_work, standalone_mailer(settings), ada.email)
    told = mailbox.to(ada.email)[-1]

    assert "A way to prove who you are was removed" == told["Subject"]
    assert "an operator of the service has removed them" in told.get_content()
    assert "Address:" not in told.get_content()
