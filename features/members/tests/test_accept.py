import asyncio
import base64
from datetime import timedelta

import pytest
from sqlalchemy import text

from tenantry.clock import now
from tenantry.errors import Conflict
from tenantry.ids import new_id
from tenantry.security.principal import Principal
from tenantry.testing import Account, Api, Mailbox, TenantHandle, World, problem

ACCEPT = "/invitations/accept"
ROLE = "INSERT INTO custom_roles (id, name, description, permissions, created_at, updated_at)"


@pytest.fixture
async def grace(world: World) -> Account:
    return await world.account("grace")


@pytest.fixture
async def token(api: Api, acme: TenantHandle, grace: Account, mailbox: Mailbox) -> str:
    """Of an invitation for Grace, to be a member of Acme."""
    invited = await api.as_(acme.admin).post("/invitations", json={"email": grace.email, "role": "member"})
    assert 201 == invited.status_code
    return mailbox.token(grace.email)


async def invitations(api: Api, acme: TenantHandle) -> int:
    return len((await api.as_(acme.viewer).get("/invitations")).json()["items"])


async def test_accept(api: Api, world: World, acme: TenantHandle, grace: Account, token: str) -> None:
    """Whoever accepts is a member in the role of the invitation, which is used up, and can work in the tenant."""
    at_acme = api.bearing(world.tokens.issue(Principal(grace.id, grace.session_id, acme.id)))
    before = await at_acme.get("/members")

    accepted = await api.as_(grace).post(ACCEPT, json={"token": token})
    after = await at_acme.get("/members")
    again = await api.as_(grace).post(ACCEPT, json={"token": token})

    assert 200 == accepted.status_code
    membership = {"tenant_id": str(acme.id), "subject_id": str(grace.id), "role": "member", "is_service_account": False}
    assert membership == accepted.json()
    assert problem(403, "not_a_member") == before
    assert (str(grace.id), "member") == tuple(after.json()["items"][0][key] for key in ("user_id", "role"))
    assert problem(404, "invalid_invitation") == again
    assert 0 == await invitations(api, acme)


async def test_accept_from_another_tenant(api: Api, acme: TenantHandle, globex: TenantHandle, mailbox: Mailbox) -> None:
    """Who works for another tenant at the moment can accept as well, and stays what they are there."""
    await api.as_(acme.admin).post("/invitations", json={"email": globex.owner.email, "role": "viewer"})

    accepted = await api.as_(globex.owner).post(ACCEPT, json={"token": mailbox.token(globex.owner.email)})
    roles = {each["name"]: each["role"] for each in (await api.as_(globex.owner).get("/tenants")).json()["items"]}

    assert 200 == accepted.status_code
    assert {"Acme": "viewer", "Globex": "owner"} == roles


async def test_accepts_at_once(api: Api, acme: TenantHandle, grace: Account, token: str) -> None:
    """Of twenty who use the same token at the same moment one succeeds."""
    answers = await asyncio.gather(*(api.as_(grace).post(ACCEPT, json={"token": token}) for _ in range(20)))
    members = await api.as_(acme.viewer).get("/members")

    assert 1 == sum(answer.is_success for answer in answers)
    assert {200, 404} == {answer.status_code for answer in answers}
    assert 5 == len(members.json()["items"])


async def test_token_is_for_its_address(api: Api, world: World, acme: TenantHandle, grace: Account, token: str) -> None:
    """Another account is refused, is no member, and the invitation waits for whom it is for."""
    eve = await world.account("eve")

    refused = await api.as_(eve).post(ACCEPT, json={"token": token})
    waits = await invitations(api, acme)
    accepted = await api.as_(grace).post(ACCEPT, json={"token": token})

    assert problem(403, "invitation_for_another_address") == refused
    assert 1 == waits
    assert 200 == accepted.status_code


@pytest.mark.asvs("6.4.1")
async def test_bad_tokens_are_all_the_same(
    api: Api, acme: TenantHandle, globex: TenantHandle, grace: Account, token: str
) -> None:
    """Expired, of another tenant, cut, changed, or nothing of ours: the answer does not tell which."""
    raw = base64.urlsafe_b64decode(token)
    forged = (globex.id.bytes + raw[16:], new_id().bytes + raw[16:], raw[:16] + bytes(32), raw[:-1], raw + b"x")
    await acme.run(text("UPDATE invitations SET expires_at = :then").bindparams(then=now() - timedelta(seconds=1)))

    bad = [
        token,
        "x",
        "é" * 64,
        f"{token}\n",
        token[:-1],
        *(base64.urlsafe_b64encode(each).decode() for each in forged),
    ]
    answers = [await api.as_(grace).post(ACCEPT, json={"token": each}) for each in bad]
    told = {(answer.status_code, answer.json()["code"], answer.json()["detail"]) for answer in answers}

    assert problem(404, "invalid_invitation") == answers[0]
    assert 1 == len(told)


async def test_member_accepts_nothing(api: Api, world: World, acme: TenantHandle, grace: Account, token: str) -> None:
    """Who has become a member by another way is told so, and keeps their role."""
    await acme.run(
        text(
            "INSERT INTO memberships (id, user_id, role, created_at, updated_at)"
            " VALUES (:id, :user, 'viewer', now(), now())"
        ).bindparams(id=new_id(), user=grace.id)
    )

    accepted = await api.as_(grace).post(ACCEPT, json={"token": token})
    role = (await api.as_(acme.viewer).get(f"/members/{grace.id}")).json()["role"]

    assert problem(409, "already_a_member") == accepted
    assert ("viewer", 1) == (role, await invitations(api, acme))


@pytest.mark.parametrize("status", ["suspended", "deleting"])
async def test_closed_tenant_takes_nobody(
    api: Api, acme: TenantHandle, grace: Account, token: str, status: str
) -> None:
    """The invitation of a tenant that is suspended or about to be deleted waits; an active one takes it again."""
    change = "UPDATE tenants SET status = :status"
    await acme.run(text(change).bindparams(status=status))

    refused = await api.as_(grace).post(ACCEPT, json={"token": token})
    await acme.run(text(change).bindparams(status="active"))
    accepted = await api.as_(grace).post(ACCEPT, json={"token": token})

    assert problem(403, f"tenant_{status}") == refused
    assert 200 == accepted.status_code


async def test_role_goes_along(api: Api, acme: TenantHandle, grace: Account, mailbox: Mailbox) -> None:
    """An invitation follows its custom role to a new name; while it stands, the role cannot be deleted."""
    await acme.run(
        text(f"{ROLE} VALUES (:id, 'auditor', '', '{{members:read}}', now(), now())").bindparams(id=new_id())
    )
    invited = await api.as_(acme.owner).post("/invitations", json={"email": grace.email, "role": "auditor"})
    await acme.run(text("UPDATE custom_roles SET name = 'reviewer'"))

    listed = await api.as_(acme.viewer).get("/invitations")
    with pytest.raises(Conflict) as deletion:
        await acme.run(text("DELETE FROM custom_roles"))
    accepted = await api.as_(grace).post(ACCEPT, json={"token": mailbox.token(grace.email)})

    assert (201, "auditor") == (invited.status_code, invited.json()["role"])
    assert ["reviewer"] == [each["role"] for each in listed.json()["items"]]
    assert "fk_invitations_tenant_id_custom_role" in str(deletion.value.__cause__)
    assert "reviewer" == accepted.json()["role"]


async def test_invitation_outlives_its_inviter(api: Api, acme: TenantHandle, grace: Account, token: str) -> None:
    """What an admin has given in good right stands after they have left."""
    await api.as_(acme.admin).delete("/members/me")

    accepted = await api.as_(grace).post(ACCEPT, json={"token": token})

    assert (200, "member") == (accepted.status_code, accepted.json()["role"])


async def test_anonymous_accepts_nothing(api: Api, acme: TenantHandle, token: str) -> None:
    """Without a session the token alone opens nothing."""
    answer = await api.post(ACCEPT, json={"token": token})

    assert problem(401, "unauthenticated") == answer
    assert 1 == await invitations(api, acme)
