"""All connections of the ordinary session are taken."""

import asyncio

import msgspec
import pytest
from litestar import Litestar

from tenantry.config import Settings
from tenantry.db import engine
from tenantry.db.plugin import DatabasePlugin
from tenantry.testing import problem
from tests.faults.planted import serving


async def test_nobody_waits_for_ever(app: Litestar, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who gets no connection in time is told to come back, once, and whoever comes back is served."""
    monkeypatch.setattr(engine, "POOL_WAIT_SECONDS", 0.2)
    one = msgspec.structs.replace(settings, database_pool_size=1, database_fast_lane=False)
    async with serving(one) as served:
        api = served.api.as_((await served.world.tenant()).member)
        async with served.app.plugins.get(DatabasePlugin).engine.connect():
            refused = [await api.get("/projects"), await api.post("/projects", json={"name": "Apollo"})]
        created = await api.post("/projects", json={"name": "Apollo"})

    assert [problem(503, "pool_exhausted")] * 2 == refused
    assert ["1", "1"] == [answer.headers["retry-after"] for answer in refused]
    assert 201 == created.status_code


async def test_requests_do_not_wait_for_each_other(
    app: Litestar, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who holds a connection and needs another, for what outlives an error, gets it however many others do the same."""
    monkeypatch.setattr(engine, "POOL_WAIT_SECONDS", 2)
    few = msgspec.structs.replace(settings, database_pool_size=2, database_fast_lane=False)
    async with serving(few) as served:
        ada = await served.world.account()
        right = {"password": ada.password}
        answers = await asyncio.gather(
            *(served.api.as_(ada).post("/auth/reauthenticate", json=right) for _ in range(6))
        )

    assert [200] * 6 == [answer.status_code for answer in answers]
