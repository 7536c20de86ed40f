import asyncio

import pytest

from features.mfa.commands import reset
from features.mfa.errors import AccountNotFound
from features.mfa.tests.people import enrolled, log_in
from tenantry.config import Settings
from tenantry.testing import Api, World, problem


async def test_reset(api: Api, world: World, settings: Settings) -> None:
    """After `tenantry users reset-mfa` the password is enough, and every session of before has ended."""
    ada, bob = await world.account(), await world.account("bob")
    await enrolled(api, ada)
    await enrolled(api, bob)

    ended = await reset(settings, f" {ada.email.upper()}")
    before = await api.as_(ada).get("/me")
    entered = await log_in(api, ada)
    other = await log_in(api, bob)
    with pytest.raises(AccountNotFound):
        await asyncio.wait_for(reset(settings, "nobody@example.com"), 60)

    assert 1 == ended
    assert problem(401, "session_ended") == before
    assert 200 == entered.status_code
    assert problem(401, "second_factor_required") == other
