import asyncio

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from tenantry.db.database import Database
from tenantry.db.denials import QuotaExceeded
from tenantry.ids import new_id
from tenantry.security.permissions import Role
from tenantry.testing import Api, TenantHandle, World, problem

FREE_PROJECTS, FREE_MEMBERS, FREE_SERVICE_ACCOUNTS, FREE_API_KEYS = 20, 10, 2, 5
INSERT_PROJECTS = text(
    "INSERT INTO projects (id, name, description, created_at, updated_at)"
    " SELECT gen_random_uuid(), 'project ' || n || :mark, '', now(), now() FROM generate_series(1, :number) n"
)


async def put_on(tenant: TenantHandle, plan: str) -> None:
    await tenant.run(text("UPDATE tenants SET plan = :plan").bindparams(plan=plan))


async def add_projects(tenant: TenantHandle, number: int, mark: str = "") -> None:
    await tenant.run(INSERT_PROJECTS.bindparams(number=number, mark=mark))


async def test_the_plan_sets_the_limit(api: Api, acme: TenantHandle) -> None:
    """What is beyond the plan is refused with the quota, its limit and the plan; another plan lets it through."""
    await put_on(acme, "free")
    await add_projects(acme, FREE_PROJECTS - 1)
    member = api.as_(acme.member)

    last = await member.post("/projects", json={"name": "last"})
    beyond = await member.post("/projects", json={"name": "beyond"})
    await put_on(acme, "team")
    on_team = await member.post("/projects", json={"name": "beyond"})

    assert 201 == last.status_code
    assert problem(402, "quota_exceeded", quota="projects", limit=FREE_PROJECTS, plan="free") == beyond
    assert 201 == on_team.status_code


async def test_what_goes_makes_room(api: Api, acme: TenantHandle) -> None:
    """Who deletes a row may add another; who has too many since a change of plan may still read, change and delete."""
    await add_projects(acme, FREE_PROJECTS + 1)
    await put_on(acme, "free")
    member = api.as_(acme.member)
    ids = [each["id"] for each in (await member.get("/projects")).json()["items"]]

    changed = await member.patch(f"/projects/{ids[0]}", json={"name": "new"})
    first = await member.delete(f"/projects/{ids[0]}")
    full = await member.post("/projects", json={"name": "another"})
    second = await member.delete(f"/projects/{ids[1]}")
    added = await member.post("/projects", json={"name": "another"})

    assert [200, 204, 402, 204, 201] == [each.status_code for each in (changed, first, full, second, added)]


async def test_exact_under_concurrency(api: Api, acme: TenantHandle, globex: TenantHandle) -> None:
    """Of fifty who add at once exactly as many get through as there was room for; other tenants notice nothing."""
    await put_on(acme, "free")
    await add_projects(acme, FREE_PROJECTS - 5)

    responses = await asyncio.gather(
        *(
            api.as_(tenant.member).post("/projects", json={"name": f"at once {n}"})
            for n in range(50)
            for tenant in (acme, globex)
        )
    )
    refused = responses[::2]
    shown = await api.as_(acme.member).get("/projects", params={"include_total": True})

    assert [201] * 5 + [402] * 45 == sorted(each.status_code for each in refused)
    assert {201} == {each.status_code for each in responses[1::2]}
    assert FREE_PROJECTS == shown.json()["total"]


async def test_no_way_round(acme: TenantHandle, globex: TenantHandle, database: Database) -> None:
    """Many rows in one statement, and a unit of work that goes on from an unlimited tenant, meet the same limit."""
    await put_on(acme, "free")

    with pytest.raises(QuotaExceeded):
        await add_projects(acme, FREE_PROJECTS + 1)
    async with database.transaction() as unit_of_work:
        await unit_of_work.bind_tenant(globex.id)
        await unit_of_work.scalar(text("SELECT set_config('app.plan', 'unlimited', true)"))
        await unit_of_work.bind_tenant(acme.id)
        plan = await unit_of_work.scalar(text("SELECT current_setting('app.plan')"))
    await add_projects(acme, FREE_PROJECTS)

    assert "" == plan


async def test_people_and_service_accounts(world: World, acme: TenantHandle) -> None:
    """People count as members and service accounts apart, so that neither takes the room of the other."""
    await put_on(acme, "free")
    account = text("INSERT INTO service_accounts (id, name, created_at, updated_at) VALUES (:id, :name, now(), now())")
    member = text(
        "INSERT INTO memberships (id, service_account_id, role, created_at, updated_at)"
        " VALUES (:id, :account, 'viewer', now(), now())"
    )
    for n in range(FREE_SERVICE_ACCOUNTS):
        id = new_id()
        await acme.run(account.bindparams(id=id, name=f"robot {n}"))
        await acme.run(member.bindparams(id=new_id(), account=id))
    for _ in range(FREE_MEMBERS - len(Role)):
        await acme.admit(await world.account(), Role.viewer)

    with pytest.raises(QuotaExceeded):
        await acme.run(account.bindparams(id=new_id(), name="one more"))
    with pytest.raises(QuotaExceeded):
        await acme.admit(await world.account(), Role.viewer)


async def test_revoked_keys_make_room(api: Api, acme: TenantHandle) -> None:
    """Of API keys those count that are good."""
    await put_on(acme, "free")
    keys = [await acme.key(acme.member.id, ["projects:read"]) for _ in range(FREE_API_KEYS)]
    wanted = {"json": {"name": "one more", "scopes": ["projects:read"]}}

    refused = await api.as_(acme.member).post("/api-keys", **wanted)
    await api.as_(acme.member).delete(f"/api-keys/{keys[0].id}")
    created = await api.as_(acme.member).post("/api-keys", **wanted)

    assert problem(402, "quota_exceeded", quota="api_keys", limit=FREE_API_KEYS, plan="free") == refused
    assert 201 == created.status_code


@pytest.mark.parametrize("statement", ["UPDATE plan_quotas SET most = 1000", "UPDATE tenants SET plan = 'gold'"])
async def test_limits_are_not_the_service_s_to_set(acme: TenantHandle, statement: str) -> None:
    """The service cannot raise a limit, and there are no plans but those of the platform."""
    with pytest.raises(DBAPIError, match=r"permission denied|ck_tenants_plan"):
        await acme.run(text(statement))
