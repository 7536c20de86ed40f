"""Another secret for the same key, one after the other and at the same time."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from tenantry.clock import now
from tenantry.db.database import Database
from tenantry.testing import Api, Key, TenantHandle, problem

WAS_USED = text("UPDATE api_keys SET last_used_at = now() - make_interval(secs => :seconds)")
REVOKED, NO_KEY = problem(401, "api_key_revoked"), problem(401, "invalid_api_key")


@pytest.fixture
async def key(acme: TenantHandle) -> Key:
    return await acme.key(acme.member.id, ["tenants:read", "api-keys:write"])


async def rotated(api: Api, acme: TenantHandle, key: Key, **body: Any) -> dict[str, Any]:
    response = await api.as_(acme.member).post(f"/api-keys/{key.id}/rotate", json=body)
    assert 200 == response.status_code, response.text
    answer: dict[str, Any] = response.json()
    return answer


async def statuses(api: Api, *texts: str) -> list[int]:
    return [(await api.bearing(text).get("/tenants/current")).status_code for text in texts]


async def test_old_key_works_until_the_overlap_ends(api: Api, acme: TenantHandle, key: Key) -> None:
    """Both texts are good in the overlap, an hour where nothing is said; then only the new one, of the same key."""
    new = await rotated(api, acme, key)
    during = await statuses(api, key.text, new["key"])
    await acme.run(text("UPDATE api_keys SET previous_until = now()"))
    after = await statuses(api, key.text, new["key"])

    assert (str(key.id), True) == (new["id"], new["key"].endswith(new["hint"]))
    assert timedelta(minutes=59) < time(new["previous_until"]) - now() <= timedelta(hours=1)
    assert [200, 200] == during
    assert [401, 200] == after


async def test_without_overlap_the_old_key_ends_at_once(api: Api, acme: TenantHandle, key: Key) -> None:
    """With an overlap of 0 the next request with the old key is refused as one that never was."""
    new = await rotated(api, acme, key, overlap_seconds=0)

    assert NO_KEY == await api.bearing(key.text).get("/tenants/current")
    assert [200] == await statuses(api, new["key"])


async def test_at_most_two_are_good(api: Api, acme: TenantHandle, key: Key) -> None:
    """A second rotation ends the overlap of the first: the oldest key stops, the two latest work."""
    second = await rotated(api, acme, key)
    third = await rotated(api, acme, key)

    assert [401, 200, 200] == await statuses(api, key.text, second["key"], third["key"])


async def test_revocation_ends_both(api: Api, acme: TenantHandle, key: Key) -> None:
    """In the overlap a revocation stops the old and the new text."""
    new = await rotated(api, acme, key, overlap_seconds=86_400)
    await api.as_(acme.member).delete(f"/api-keys/{key.id}")

    assert REVOKED == await api.bearing(key.text).get("/tenants/current")
    assert REVOKED == await api.bearing(new["key"]).get("/tenants/current")


@pytest.mark.parametrize("overlap", [-1, 86_401, 1.5, "60", None])
async def test_bad_overlaps(api: Api, acme: TenantHandle, key: Key, overlap: Any) -> None:
    """An overlap is a whole number of seconds up to a day; with any other the key stays as it is."""
    response = await api.as_(acme.member).post(f"/api-keys/{key.id}/rotate", json={"overlap_seconds": overlap})

    assert problem(422, "validation_failed") == response
    assert [200] == await statuses(api, key.text)


async def test_key_replaces_itself(api: Api, key: Key) -> None:
    """A key with the scope for it rotates itself, as a program does that renews its own credential."""
    response = await api.bearing(key.text).post(f"/api-keys/{key.id}/rotate", json={"overlap_seconds": 0})

    assert [401, 200] == await statuses(api, key.text, response.json()["key"])


async def test_rotations_at_once(api: Api, acme: TenantHandle, key: Key) -> None:
    """All succeed one after the other: the last text works and the one before it, no other does."""
    answers = await asyncio.gather(*(rotated(api, acme, key) for _ in range(4)))
    stored = (await api.as_(acme.member).get(f"/api-keys/{key.id}")).json()
    found = await statuses(api, *(answer["key"] for answer in answers))
    latest = [answer["key"] for answer in answers if answer["hint"] == stored["hint"]]

    assert [200, 200, 401, 401] == sorted(found)
    assert [200] == await statuses(api, *latest)
    assert [401] == await statuses(api, key.text)


async def test_rotation_waits_for_a_revocation(api: Api, acme: TenantHandle, key: Key, database: Database) -> None:
    """A rotation that meets a revocation which is not committed yet waits for it, and makes no new text then."""
    async with database.transaction() as unit_of_work:
        await unit_of_work.bind_tenant(acme.id)
        revoke = text("UPDATE api_keys SET revoked_at = now() WHERE id = :id").bindparams(id=key.id)
        await unit_of_work.execute(revoke)
        task = asyncio.create_task(api.as_(acme.member).post(f"/api-keys/{key.id}/rotate", json={}))
        await until_someone_waits(database)
        assert not task.done()
    answer = await asyncio.wait_for(task, 10)

    assert problem(409, "api_key_ended") == answer
    assert REVOKED == await api.bearing(key.text).get("/tenants/current")


@pytest.mark.parametrize("seconds", [30, 90])
async def test_last_use_is_written_once_a_minute(api: Api, acme: TenantHandle, key: Key, seconds: int) -> None:
    """A use within a minute of the last one leaves the time as it is; a later one writes it."""
    never = await last_use(api, acme, key)
    await statuses(api, key.text)
    first = await last_use(api, acme, key)
    await acme.run(WAS_USED.bindparams(seconds=seconds))
    earlier = await last_use(api, acme, key)
    await statuses(api, key.text)
    later = await last_use(api, acme, key)

    assert never is None
    assert first is not None and abs(time(first) - now()) < timedelta(seconds=20)
    assert (later == earlier) == (seconds < 60)


async def test_last_use_waits_for_nobody(api: Api, acme: TenantHandle, key: Key, database: Database) -> None:
    """While another transaction has the key locked, requests with it are answered, and its last use stays unsaid."""
    async with database.transaction() as unit_of_work:
        await unit_of_work.bind_tenant(acme.id)
        await unit_of_work.scalar(text("SELECT id FROM api_keys WHERE id = :id FOR UPDATE").bindparams(id=key.id))
        answers = await asyncio.wait_for(asyncio.gather(*(statuses(api, key.text) for _ in range(3))), 10)
    during = await last_use(api, acme, key)

    assert [[200]] * 3 == answers
    assert during is None


async def last_use(api: Api, acme: TenantHandle, key: Key) -> Any:
    return (await api.as_(acme.member).get(f"/api-keys/{key.id}")).json()["last_used_at"]


async def until_someone_waits(database: Database) -> None:
    """For a lock, in this database."""
    waiting = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    async with asyncio.timeout(10), database.transaction() as unit_of_work:
        while not await unit_of_work.scalar(waiting):
            await unit_of_work.execute(text("SELECT pg_stat_clear_snapshot()"))
            await asyncio.sleep(0.01)


def time(told: str) -> datetime:
    return datetime.fromisoformat(told)
