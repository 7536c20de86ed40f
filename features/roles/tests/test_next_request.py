from features.roles.tests.factories import role_of
from tenantry.testing import Api, TenantHandle, problem

READ, WRITE = "roles:read", "roles:write"


async def test_change_acts_on_the_next_request(api: Api, acme: TenantHandle) -> None:
    """What a role gives its member may do at once, and no more once it is taken away."""
    role = await role_of(acme, acme.member, READ)
    admin, member = api.as_(acme.admin), api.as_(acme.member)

    answers = []
    for permissions in ([READ], [READ, WRITE], [READ], []):
        await admin.patch(f"/roles/{role.id}", json={"permissions": permissions})
        answers += [await member.get("/roles"), await member.post("/roles", json={"name": "new", "permissions": []})]

    assert [200, 403, 200, 201, 200, 403, 403, 403] == [answer.status_code for answer in answers]
    assert problem(403, "permission_missing", permission=WRITE) == answers[5]
    assert problem(403, "permission_missing", permission=READ) == answers[6]
