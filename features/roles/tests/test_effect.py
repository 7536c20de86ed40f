"""A changed role acts on the next request, whichever worker takes it."""

import asyncio
from pathlib import Path

import httpx

from features.roles.tests.factories import role_of
from tenantry.config import Settings
from tenantry.testing import Account, Api, TenantHandle, problem
from tenantry.testing.service import running_service

AT_ONCE, ROUNDS = 8, 5
NEW_CONNECTIONS = httpx.Limits(max_keepalive_connections=0)
READ, WRITE = "projects:read", "projects:write"


async def test_change_acts_on_the_next_request(api: Api, acme: TenantHandle) -> None:
    """What a role gives its member may do at once, and no more once it is taken away."""
    role = await role_of(acme, acme.member, READ)
    admin, member = api.as_(acme.admin), api.as_(acme.member)

    answers = []
    for permissions in ([READ], [READ, WRITE], [READ], []):
        await admin.patch(f"/roles/{role.id}", json={"permissions": permissions})
        answers += [await member.get("/projects"), await member.post("/projects", json={"name": "Apollo"})]

    assert [200, 403, 200, 201, 200, 403, 403, 403] == [answer.status_code for answer in answers]
    assert problem(403, "permission_missing", permission=WRITE) == answers[5]
    assert problem(403, "permission_missing", permission=READ) == answers[6]


async def test_every_worker_sees_the_change(settings: Settings, tmp_path: Path, acme: TenantHandle) -> None:
    """Of requests over new connections, which either of two workers takes, none is answered as before the change."""
    role = await role_of(acme, acme.member, READ)
    found, expected = [], []

    with running_service(settings, tmp_path, TENANTRY_WORKERS="2") as service:
        async with httpx.AsyncClient(base_url=service.url, limits=NEW_CONNECTIONS, trust_env=False) as client:
            admin, member = [await logged_in(Api(client), account) for account in (acme.admin, acme.member)]
            for number in range(2 * ROUNDS):
                body = {"permissions": [] if number % 2 else [READ]}
                changed = await admin.patch(f"/roles/{role.id}", json=body)
                answers = await asyncio.gather(*(member.get("/projects") for _ in range(AT_ONCE)))
                found.append([changed.status_code, *(answer.status_code for answer in answers)])
                expected.append([200, *[403 if number % 2 else 200] * AT_ONCE])

    assert expected == found


async def logged_in(api: Api, account: Account) -> Api:
    """With a token of that service; it takes none of another address."""
    answer = await api.post("/auth/login", json={"email": account.email, "password": account.password})
    return api.bearing(answer.json()["access_token"])
