import asyncio
from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy import insert

from features.roles.models import MOST_ROLES, CustomRoleRow
from features.roles.tests.factories import CustomRoleFactory, role_of
from tenantry.clock import now
from tenantry.ids import new_id
from tenantry.security.permissions import Role
from tenantry.testing import Api, TenantHandle, problem

READ, WRITE = "roles:read", "tenants:write"
AUDITOR: dict[str, Any] = {"name": "auditor", "description": "Looks", "permissions": [WRITE, READ, READ]}


async def test_create(api: Api, acme: TenantHandle) -> None:
    """A role is created with its permissions, each once; who reads it by its id sees the same."""
    created = await api.as_(acme.admin).post("/roles", json=AUDITOR)
    found = await api.as_(acme.viewer).get(f"/roles/{created.json()['id']}")

    assert 201 == created.status_code
    assert created.json() == found.json()
    assert AUDITOR | {"id": found.json()["id"], "permissions": [READ, WRITE], "built_in": False} == found.json()


async def test_list(api: Api, acme: TenantHandle, globex: TenantHandle) -> None:
    """One page: the built-in roles, each with all of a lesser one's permissions, and then the tenant's own by name."""
    for name in ("b", "a"):
        await acme.has(CustomRoleFactory, name=name, permissions=[READ])
    await globex.has(CustomRoleFactory, name="c", permissions=[])

    listed = (await api.as_(acme.viewer).get("/roles")).json()

    built_in = listed["items"][: len(Role)]
    held = [set(role["permissions"]) for role in built_in]
    assert [*Role.__members__, "a", "b"] == [role["name"] for role in listed["items"]]
    assert [(None, True)] * len(Role) == [(role["id"], role["built_in"]) for role in built_in]
    assert sorted(held, key=len) == held
    assert all(lesser <= greater for lesser, greater in pairwise(held))
    assert None is listed["next_cursor"]


async def test_names_are_unique(api: Api, acme: TenantHandle, globex: TenantHandle) -> None:
    """A name that another role of the tenant has, or a built-in one, is refused at creation and at a change."""
    await acme.has(CustomRoleFactory, name="auditor", permissions=[])
    other = await acme.has(CustomRoleFactory, name="other", permissions=[])
    admin = api.as_(acme.admin)

    for name, refusal in (("auditor", "role_name_taken"), ("owner", "role_name_built_in")):
        assert problem(409, refusal) == await admin.post("/roles", json=AUDITOR | {"name": name})
        assert problem(409, refusal) == await admin.patch(f"/roles/{other.id}", json={"name": name})
    assert 201 == (await api.as_(globex.admin).post("/roles", json=AUDITOR)).status_code


@pytest.mark.parametrize("bad", ["", "Auditor", "a b", "1st", "-a", "a--b", "a\n", "a" * 64])
async def test_bad_names(api: Api, acme: TenantHandle, bad: str) -> None:
    """Lower-case letters, digits and single hyphens, with a letter first."""
    response = await api.as_(acme.admin).post("/roles", json=AUDITOR | {"name": bad})

    assert problem(422, "validation_failed") == response
    assert ["/name"] == [fault["pointer"] for fault in response.json()["errors"]]


async def test_unknown_permissions(api: Api, acme: TenantHandle) -> None:
    """Each permission that no slice declares is named with its place in the body."""
    role = await acme.has(CustomRoleFactory, name="auditor", permissions=[READ])
    body = {"permissions": ["roles:fly", READ, ""]}

    created = await api.as_(acme.owner).post("/roles", json=AUDITOR | body)
    changed = await api.as_(acme.owner).patch(f"/roles/{role.id}", json=body)

    for response in (created, changed):
        assert problem(422, "unknown_permission") == response
        assert ["/permissions/0", "/permissions/2"] == [fault["pointer"] for fault in response.json()["errors"]]
        assert "'roles:fly'" in response.json()["errors"][0]["detail"]


async def test_nobody_decides_over_what_they_do_not_hold(api: Api, acme: TenantHandle) -> None:
    """Whoever lacks a permission neither creates, widens, narrows, renames nor deletes a role with it."""
    await role_of(acme, acme.member, READ, "roles:write", name="keeper")
    wide = await acme.has(CustomRoleFactory, name="wide", permissions=[READ, WRITE])
    narrow = await acme.has(CustomRoleFactory, name="narrow", permissions=[READ])
    keeper = api.as_(acme.member)

    refused = [
        await keeper.post("/roles", json=AUDITOR),
        await keeper.patch(f"/roles/{narrow.id}", json={"permissions": [WRITE]}),
        await keeper.patch(f"/roles/{wide.id}", json={"permissions": [READ]}),
        await keeper.patch(f"/roles/{wide.id}", json={"name": "renamed"}),
        await keeper.delete(f"/roles/{wide.id}"),
    ]
    allowed = [
        await keeper.post("/roles", json=AUDITOR | {"permissions": [READ]}),
        await keeper.patch(f"/roles/{narrow.id}", json={"permissions": []}),
        await keeper.delete(f"/roles/{narrow.id}"),
    ]

    assert [problem(403, "permission_not_held", missing=[WRITE])] * 5 == refused
    assert [201, 200, 204] == [answer.status_code for answer in allowed]
    assert [READ, WRITE] == (await keeper.get(f"/roles/{wide.id}")).json()["permissions"]


async def test_role_in_use(api: Api, acme: TenantHandle) -> None:
    """A role cannot be deleted while a member has it; a renamed one is still theirs."""
    role = await role_of(acme, acme.member, READ)
    admin = api.as_(acme.admin)

    in_use = await admin.delete(f"/roles/{role.id}")
    renamed = await admin.patch(f"/roles/{role.id}", json={"name": "renamed"})
    still = await api.as_(acme.member).get("/roles")
    await role_of(acme, acme.member, name="another")
    deleted = await admin.delete(f"/roles/{role.id}")

    assert problem(409, "role_in_use") == in_use
    assert ("renamed", [READ]) == (renamed.json()["name"], renamed.json()["permissions"])
    assert [200, 204] == [still.status_code, deleted.status_code]
    assert problem(404, "role_not_found") == await admin.delete(f"/roles/{role.id}")


async def test_limit(api: Api, acme: TenantHandle, globex: TenantHandle) -> None:
    """Of many who want the last place at once one gets it; other tenants have places of their own."""
    moment = {"description": "", "permissions": [], "created_at": now(), "updated_at": now()}
    full = [{"id": new_id(), "name": f"r{number}", **moment} for number in range(MOST_ROLES - 1)]
    await acme.run(insert(CustomRoleRow).values(full))
    admin = api.as_(acme.admin)

    answers = await asyncio.gather(*(admin.post("/roles", json=AUDITOR | {"name": f"n{n}"}) for n in range(8)))

    assert [201] + [409] * 7 == sorted(answer.status_code for answer in answers)
    assert 7 == sum(problem(409, "too_many_roles", limit=MOST_ROLES) == answer for answer in answers)
    assert 201 == (await api.as_(globex.admin).post("/roles", json=AUDITOR)).status_code


async def test_permission_that_is_no_more(api: Api, acme: TenantHandle) -> None:
    """What no slice declares any more is not shown, hinders no change of its role, and goes with the next list."""
    role = await role_of(acme, acme.member, "ghosts:read", READ)
    admin = api.as_(acme.admin)

    shown = await api.as_(acme.member).get(f"/roles/{role.id}")
    renamed = await admin.patch(f"/roles/{role.id}", json={"name": "renamed"})
    given = await api.as_(acme.owner).patch(f"/roles/{role.id}", json={"permissions": ["ghosts:read"]})
    await role_of(acme, acme.member, name="another")
    deleted = await admin.delete(f"/roles/{role.id}")

    assert [READ] == shown.json()["permissions"] == renamed.json()["permissions"]
    assert problem(422, "unknown_permission") == given
    assert 204 == deleted.status_code
