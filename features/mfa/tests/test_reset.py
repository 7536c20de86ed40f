from dataclasses import replace

import pytest

from features.mfa.commands import reset
from features.mfa.errors import AccountNotFound
from features.mfa.tests.people import enrolled, log_in, verify
from tenantry.config import Settings
from tenantry.db.database import Database
from tenantry.mail import standalone_mailer
from tenantry.testing import Api, Mailbox, World, problem


@pytest.mark.asvs("6.4.4", "6.5.6")
async def test_reset(api: Api, world: World, database: Database, settings: Settings) -> None:
    """After `tenantry users reset-mfa` the password is enough, and every session of before has ended."""
    ada, bob = await world.account(), await world.account("bob")
    mailer = standalone_mailer(settings)
    await enrolled(api, ada)
    await enrolled(api, bob)

    async with database.transaction() as unit_of_work:
        ended = await reset(unit_of_work, mailer, f" {ada.email.upper()}")
    before = await api.as_(ada).get("/auth/sessions")
    entered = await log_in(api, ada)
    other = await log_in(api, bob)
    with pytest.raises(AccountNotFound):
        async with database.transaction() as unit_of_work:
            await reset(unit_of_work, mailer, "nobody@example.com")

    assert 1 == ended
    assert problem(401, "session_ended") == before
    assert 200 == entered.status_code
    assert problem(401, "second_factor_required") == other


@pytest.mark.asvs("6.4.3")
async def test_forgotten_password(api: Api, world: World, mailbox: Mailbox) -> None:
    """Whoever resets a forgotten password still needs the second factor to log in."""
    ada, new = await world.account(), "seven zebras on a train"
    phone = await enrolled(api, ada)
    await api.post("/auth/password/forgot", json={"email": ada.email})
    reset = await api.post("/auth/password/reset", json={"token": mailbox.token(ada.email), "password": new})
    waiting = await log_in(api, replace(ada, password=new))
    entered = await verify(api, waiting.json()["challenge"], phone.recovery_codes[0])

    assert 204 == reset.status_code
    assert problem(401, "second_factor_required") == waiting
    assert 200 == entered.status_code
