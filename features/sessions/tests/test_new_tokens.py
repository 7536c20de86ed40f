"""What the tokens of a session are made of, and when they are made anew."""

from base64 import urlsafe_b64decode
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from tenantry.clock import frozen_at, now
from tenantry.testing import Account, Api, World, problem

STORED = text("SELECT s::text || r::text FROM sessions s JOIN refresh_tokens r ON r.session_id = s.id")


async def log_in(api: Api, account: Account) -> dict[str, Any]:
    response = await api.post("/auth/login", json={"email": account.email, "password": account.password})
    assert 200 == response.status_code, response.text
    tokens: dict[str, Any] = response.json()
    return tokens


async def refresh(api: Api, tokens: dict[str, Any]) -> dict[str, Any]:
    response = await api.post("/auth/refresh", json={"refresh_token": tokens["refresh_token"]})
    assert 200 == response.status_code, response.text
    renewed: dict[str, Any] = response.json()
    return renewed


@pytest.mark.asvs("7.2.3", "11.5.1")
async def test_refresh_tokens_are_random(api: Api, world: World) -> None:
    """Each is 256 bits of its own, and none is stored."""
    ada = await world.account()
    given = [await log_in(api, ada) for _ in range(4)]
    tokens = [each["refresh_token"] for each in (*given, await refresh(api, given[0]))]
    async with world.database.transaction() as unit_of_work:
        stored = "".join([row[0] for row in await unit_of_work.rows(STORED)])

    assert [32] * 5 == [len(urlsafe_b64decode(token + "=")) for token in tokens]
    assert 5 == len({*tokens})
    assert [] == [token for token in tokens if token in stored]


@pytest.mark.asvs("7.2.2", "7.2.4")
async def test_log_in_makes_a_session(api: Api, world: World) -> None:
    """Each log-in has a session and tokens of its own, with whatever credential it comes; nobody can choose them."""
    ada = await world.account()
    given = [await log_in(api, ada), await log_in(api.as_(ada), ada)]
    chosen = {"email": ada.email, "password": ada.password, "session_id": given[0]["session_id"]}
    fixed = await api.post("/auth/login", json=chosen)

    for name in ("session_id", "access_token", "refresh_token"):
        assert 2 == len({each[name] for each in given})
    assert str(ada.session_id) not in {each["session_id"] for each in given}
    assert problem(422, "validation_failed") == fixed


@pytest.mark.asvs("7.2.4")
async def test_new_proof_gives_a_new_token(api: Api, world: World) -> None:
    """It does what needs a fresh proof. The one from before never does, as it says when its owner had proven what."""
    ada = await world.account()
    with frozen_at(now() - timedelta(hours=1)):
        tokens = await log_in(api, ada)
    old = await refresh(api, tokens)
    before = await api.bearing(old["access_token"]).delete("/auth/sessions")
    proven = await api.bearing(old["access_token"]).post("/auth/reauthenticate", json={"password": ada.password})
    after = await api.bearing(old["access_token"]).delete("/auth/sessions")
    fresh = await api.bearing(proven.json()["access_token"]).delete("/auth/sessions")

    assert [problem(401, "fresh_auth_required")] * 2 == [before, after]
    assert (200, old["session_id"], 204) == (proven.status_code, proven.json()["session_id"], fresh.status_code)
