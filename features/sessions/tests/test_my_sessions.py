"""What people see of where they are logged in, what they can end of it, and when it ends by itself."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from litestar import Litestar
from sqlalchemy import text

from tenantry.clock import frozen_at, now
from tenantry.config import Settings
from tenantry.db.database import Database
from tenantry.ids import new_id
from tenantry.testing import Account, Api, World, asgi_client, problem

FIREFOX = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0"
SAFARI = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 Version/18.5 Safari/604.1"
EDGE = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/138.0.0.0 Safari/537.36 Edg/138.0"
LIMITS = Settings()
IDLE, LONGEST = timedelta(days=LIMITS.refresh_token_days), timedelta(days=LIMITS.session_days)


async def log_in(api: Api, account: Account, user_agent: str = "curl/8.5.0") -> dict[str, Any]:
    body = {"email": account.email, "password": account.password}
    response = await api.post("/auth/login", json=body, headers={"User-Agent": user_agent})
    assert 200 == response.status_code, response.text
    tokens: dict[str, Any] = response.json()
    return tokens


async def refresh(api: Api, tokens: dict[str, Any], **options: Any) -> httpx.Response:
    return await api.post("/auth/refresh", json={"refresh_token": tokens["refresh_token"]}, **options)


@pytest.mark.asvs("7.5.2")
@pytest.mark.parametrize(
    ("user_agent", "device"),
    [
        (FIREFOX, "Firefox on Windows"), (SAFARI, "Safari on iPhone"), (EDGE, "Edge on Linux"),
        ("curl/8.5.0", "curl/8.5.0"), ("", "unknown"),
    ],
)  # fmt: skip
async def test_what_is_seen_of_a_session(api: Api, world: World, user_agent: str, device: str) -> None:
    """Device, address, times and proofs of each, the last used first, and which of them asks; no more than that."""
    ada = await world.account()
    tokens = await log_in(api, ada, user_agent)

    seen = (await api.bearing(tokens["access_token"]).get("/auth/sessions")).json()["items"]

    assert [(tokens["session_id"], True), (str(ada.session_id), False)] == [(s["id"], s["is_current"]) for s in seen]
    assert (device, ["pwd"]) == (seen[0]["device"], seen[0]["methods"])
    assert seen[0]["address"].startswith("2001:db8:")
    assert {
        "id", "device", "address", "created_at", "last_used_at", "expires_at", "methods", "is_current",
    } == seen[0].keys()  # fmt: skip


@pytest.mark.asvs("7.5.2", "10.4.9", "7.4.1")
async def test_end_one(api: Api, world: World) -> None:
    """A session that its owner ends stops working at once, and is not seen any more; the others go on."""
    ada = await world.account()
    tokens = await log_in(api, ada)

    ended = await api.as_(ada).delete(f"/auth/sessions/{tokens['session_id']}")
    again = await api.as_(ada).delete(f"/auth/sessions/{tokens['session_id']}")
    seen = (await api.as_(ada).get("/auth/sessions")).json()["items"]

    assert 204 == ended.status_code
    assert problem(404, "session_not_found") == again
    assert problem(401, "session_ended") == await api.bearing(tokens["access_token"]).get("/auth/sessions")
    assert problem(401, "invalid_refresh_token") == await refresh(api, tokens)
    assert [str(ada.session_id)] == [session["id"] for session in seen]


@pytest.mark.asvs("7.5.2")
async def test_end_all_others(api: Api, world: World) -> None:
    """All sessions but the one that asks end, and nobody else's."""
    ada, bob = await world.account(), await world.account("bob")
    first, second = await log_in(api, ada), await log_in(api, ada)

    ended = await api.bearing(second["access_token"]).delete("/auth/sessions")
    statuses = [
        (await api.bearing(token).get("/auth/sessions")).status_code
        for token in (first["access_token"], ada.token, second["access_token"], bob.token)
    ]

    assert 204 == ended.status_code
    assert [401, 401, 200, 200] == statuses


async def test_sessions_of_others(api: Api, world: World) -> None:
    """Another person's session is neither seen nor ended: it is answered as one that never was."""
    ada, bob = await world.account(), await world.account("bob")

    foreign = await api.as_(ada).delete(f"/auth/sessions/{bob.session_id}")
    missing = await api.as_(ada).delete(f"/auth/sessions/{new_id()}")
    seen = (await api.as_(ada).get("/auth/sessions")).json()["items"]

    assert problem(404, "session_not_found") == foreign
    assert problem(404, "session_not_found") == missing
    assert [str(ada.session_id)] == [session["id"] for session in seen]
    assert 200 == (await api.as_(bob).get("/auth/sessions")).status_code


@pytest.mark.asvs("7.5.2")
@pytest.mark.parametrize("path", ["/auth/sessions", f"/auth/sessions/{UUID(int=7)}"])
async def test_ending_sessions_needs_a_fresh_proof(api: Api, world: World, path: str) -> None:
    """Who has been logged in for long proves again who they are before they end sessions."""
    with frozen_at(now() - timedelta(seconds=LIMITS.fresh_auth_seconds + 1)):
        ada = await world.account()

    assert problem(401, "fresh_auth_required") == await api.as_(ada).delete(path)


@pytest.mark.asvs("7.3.1")
async def test_idle_limit(api: Api, world: World) -> None:
    """Used within its idle limit a session goes on, and is over once it was not used for as long."""
    tokens, start = await log_in(api, await world.account()), now()
    with frozen_at(start + IDLE - timedelta(minutes=1)):
        renewed = await refresh(api, tokens)
    with frozen_at(start + 2 * IDLE):
        over = await refresh(api, renewed.json())

    assert 200 == renewed.status_code
    assert problem(401, "invalid_refresh_token") == over


@pytest.mark.asvs("7.3.2", "10.4.8")
async def test_absolute_limit(api: Api, world: World) -> None:
    """However often it is used, a session is over at its absolute limit."""
    tokens, start = await log_in(api, await world.account()), now()
    answers = []
    moments = [start + n * (IDLE - timedelta(days=1)) for n in range(1, 4)]
    for moment in [*moments, start + LONGEST - timedelta(minutes=1), start + LONGEST + timedelta(minutes=1)]:
        with frozen_at(moment):
            answers.append(await refresh(api, tokens))
        tokens = answers[-1].json() if answers[-1].is_success else tokens

    assert [200, 200, 200, 200, 401] == [answer.status_code for answer in answers]


async def test_refresh_tells_where_a_session_is_used(app: Litestar, api: Api, world: World) -> None:
    """A refresh keeps the address and device that it came from, and the time."""
    ada = await world.account()
    tokens, moment = await log_in(api, ada, FIREFOX), now() + timedelta(minutes=3)
    async with asgi_client(app, address="192.0.2.7") as client:
        with frozen_at(moment):
            renewed = await refresh(Api(client), tokens, headers={"User-Agent": SAFARI})
            listed = await Api(client, renewed.json()["access_token"]).get("/auth/sessions")
    seen = listed.json()["items"][0]

    assert (tokens["session_id"], "192.0.2.7", "Safari on iPhone") == (seen["id"], seen["address"], seen["device"])
    assert moment.isoformat().replace("+00:00", "Z") == seen["last_used_at"]


@pytest.mark.asvs("10.4.5")
async def test_replay_over_a_fresh_connection(app: Litestar, api: Api, world: World, database: Database) -> None:
    """The end of a family whose token was stolen is kept, although it was the effect of an error answer."""
    tokens = await log_in(api, await world.account())
    renewed = (await refresh(api, tokens)).json()
    async with database.transaction() as unit_of_work:
        age = text("UPDATE refresh_tokens SET used_at = used_at - interval '11 seconds' WHERE session_id = :id")
        await unit_of_work.execute(age.bindparams(id=UUID(tokens["session_id"])))
    replayed = await refresh(api, tokens)
    async with asgi_client(app) as fresh:
        heir = await refresh(Api(fresh), renewed)
        access = await Api(fresh, renewed["access_token"]).get("/auth/sessions")

    assert problem(401, "invalid_refresh_token") == replayed
    assert problem(401, "invalid_refresh_token") == heir
    assert problem(401, "session_ended") == access
