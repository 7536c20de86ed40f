import pytest

from features.mfa.commands import reset
from features.mfa.errors import AccountNotFound
from features.mfa.tests.people import enrolled, log_in
from tenantry.db.database import Database
from tenantry.testing import Api, World, problem


@pytest.mark.asvs("6.4.4", "6.5.6")
async def test_reset(api: Api, world: World, database: Database) -> None:
    """After `tenantry users reset-mfa` the password is enough, and every session of before has ended."""
    ada, bob = await world.account(), await world.account("bob")
    await enrolled(api, ada)
    await enrolled(api, bob)

    async with database.transaction() as unit_of_work:
        ended = await reset(unit_of_work, f" {ada.email.upper()}")
    before = await api.as_(ada).get("/auth/sessions")
    entered = await log_in(api, ada)
    other = await log_in(api, bob)
    with pytest.raises(AccountNotFound):
        async with database.transaction() as unit_of_work:
            await reset(unit_of_work, "nobody@example.com")

    assert 1 == ended
    assert problem(401, "session_ended") == before
    assert 200 == entered.status_code
    assert problem(401, "second_factor_required") == other
