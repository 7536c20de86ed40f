import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import text

from features.members.models import LIFETIME, MAIL_INTERVAL
from features.members.tests.factories import InvitationFactory
from tenantry.clock import frozen_at, now
from tenantry.ids import new_id
from tenantry.testing import Api, Mailbox, TenantHandle, World, problem


def address() -> str:
    return f"grace-{new_id().hex[-12:]}@example.com"


async def test_admin_invites(api: Api, acme: TenantHandle, mailbox: Mailbox) -> None:
    """An admin's invitation is listed for a viewer, without its token, which only the mail has."""
    email = address()

    created = await api.as_(acme.admin).post("/invitations", json={"email": email.upper(), "role": "member"})
    listed = await api.as_(acme.viewer).get("/invitations", params={"include_total": True})
    mail = mailbox.to(email)[-1].get_content()

    invitation = created.json()
    assert (201, email, "member", str(acme.admin.id)) == (
        created.status_code, *(invitation[key] for key in ("email", "role", "invited_by")),
    )  # fmt: skip
    assert ([invitation], 1) == (listed.json()["items"], listed.json()["total"])
    assert mailbox.token(email) not in listed.text
    assert "Acme invites you" in mail
    assert "/api/v1/invitations/accept" in mail


async def test_who_may_not_invite(api: Api, acme: TenantHandle) -> None:
    """A member invites nobody, an admin no owner, and nobody to a role that is none; no mail leaves."""
    body = {"email": address(), "role": "viewer"}

    by_member = await api.as_(acme.member).post("/invitations", json=body)
    above = await api.as_(acme.admin).post("/invitations", json=body | {"role": "owner"})
    unknown = await api.as_(acme.admin).post("/invitations", json=body | {"role": "king"})
    bad = await api.as_(acme.admin).post("/invitations", json=body | {"email": "grace@example.com\nBcc: x@y.z"})
    listed = await api.as_(acme.viewer).get("/invitations")

    assert problem(403, "permission_missing", permission="members:write") == by_member
    assert problem(403, "permission_not_held") == above
    assert problem(422, "unknown_role") == unknown
    assert problem(422, "validation_failed") == bad
    assert [] == listed.json()["items"]


async def test_nobody_is_invited_twice(api: Api, acme: TenantHandle, globex: TenantHandle, mailbox: Mailbox) -> None:
    """Who is a member or invited already gets no second mail of this tenant; another one may invite them."""
    email = address()
    as_admin = api.as_(acme.admin)

    first = await as_admin.post("/invitations", json={"email": email, "role": "viewer"})
    second = await as_admin.post("/invitations", json={"email": email, "role": "member"})
    member = await as_admin.post("/invitations", json={"email": acme.viewer.email.upper(), "role": "member"})
    mails = [len(mailbox.to(each)) for each in (email, acme.viewer.email)]
    elsewhere = await api.as_(globex.admin).post("/invitations", json={"email": email, "role": "viewer"})

    assert (201, 201) == (first.status_code, elsewhere.status_code)
    assert problem(409, "already_invited") == second
    assert problem(409, "already_a_member") == member
    assert [1, 0] == mails


async def test_resend_makes_a_new_token(api: Api, world: World, acme: TenantHandle, mailbox: Mailbox) -> None:
    """The second mail has a new token and a new expiry; the token of the first is good for nothing."""
    grace = await world.account("grace")
    invited = await api.as_(acme.admin).post("/invitations", json={"email": grace.email, "role": "viewer"})
    path, first = f"/invitations/{invited.json()['id']}/resend", mailbox.token(grace.email)

    too_soon = await api.as_(acme.admin).post(path)
    with frozen_at(now() + MAIL_INTERVAL):
        resent = await api.as_(acme.admin).post(path)
    second = mailbox.token(grace.email)
    old = await api.as_(grace).post("/invitations/accept", json={"token": first})
    new = await api.as_(grace).post("/invitations/accept", json={"token": second})

    assert problem(429, "invited_just_now") == too_soon
    assert 1 <= int(too_soon.headers["retry-after"]) <= 60
    assert 200 == resent.status_code
    assert resent.json()["expires_at"] > invited.json()["expires_at"]
    assert 2 == len(mailbox.to(grace.email))
    assert problem(404, "invalid_invitation") == old
    assert 200 == new.status_code


async def test_resend_gives_expired_ones_new_life(api: Api, world: World, acme: TenantHandle, mailbox: Mailbox) -> None:
    """An invitation that has expired can be accepted again once it was sent again."""
    grace = await world.account("grace")
    row = await acme.has(InvitationFactory, email=grace.email, expires_at=now() - timedelta(days=1))

    resent = await api.as_(acme.admin).post(f"/invitations/{row.id}/resend")
    accepted = await api.as_(grace).post("/invitations/accept", json={"token": mailbox.token(grace.email)})

    assert resent.json()["expires_at"] > (now() + LIFETIME - timedelta(hours=1)).isoformat()
    assert (200, 200) == (resent.status_code, accepted.status_code)


async def test_resend_and_withdraw_are_for_admins_of_the_tenant(
    api: Api, acme: TenantHandle, globex: TenantHandle
) -> None:
    """A member may do neither, another tenant finds nothing, and an admin sends no invitation that they cannot give."""
    row = await acme.has(InvitationFactory)
    of_owner = await acme.has(InvitationFactory, built_in_role="owner")
    calls = [("POST", f"/invitations/{row.id}/resend"), ("DELETE", f"/invitations/{row.id}")]

    by_member = [await api.as_(acme.member).request(*call) for call in calls]
    foreign = [await api.as_(globex.owner).request(*call) for call in calls]
    above = await api.as_(acme.admin).post(f"/invitations/{of_owner.id}/resend")
    listed = await api.as_(acme.viewer).get("/invitations")

    assert [problem(403, "permission_missing", permission="members:write")] * 2 == by_member
    assert [problem(404, "invitation_not_found")] * 2 == foreign
    assert problem(403, "permission_not_held") == above
    assert {str(row.id), str(of_owner.id)} == {each["id"] for each in listed.json()["items"]}


async def test_withdrawn_is_gone(api: Api, world: World, acme: TenantHandle, mailbox: Mailbox) -> None:
    """The token of a withdrawn invitation is good for nothing, and the address can be invited anew."""
    grace = await world.account("grace")
    body = {"email": grace.email, "role": "viewer"}
    invited = await api.as_(acme.admin).post("/invitations", json=body)

    withdrawn = await api.as_(acme.admin).delete(f"/invitations/{invited.json()['id']}")
    again = await api.as_(acme.admin).delete(f"/invitations/{invited.json()['id']}")
    accepted = await api.as_(grace).post("/invitations/accept", json={"token": mailbox.token(grace.email)})
    anew = await api.as_(acme.admin).post("/invitations", json=body)

    assert (204, 201) == (withdrawn.status_code, anew.status_code)
    assert problem(404, "invitation_not_found") == again
    assert problem(404, "invalid_invitation") == accepted


@pytest.mark.parametrize("name", ["Acme\nBcc: everyone@example.com", "Acme\u2028\u202e", "Åäö"])
async def test_name_of_the_tenant_bends_no_mail(api: Api, acme: TenantHandle, mailbox: Mailbox, name: str) -> None:
    """Whatever a tenant is called, its mail has the headers that it should, and the name on one line."""
    email = address()
    await acme.run(text("UPDATE tenants SET name = :name").bindparams(name=name))

    created = await api.as_(acme.admin).post("/invitations", json={"email": email, "role": "viewer"})
    mail = mailbox.to(email)[-1]

    assert 201 == created.status_code
    assert "You are invited to Tenantry" == mail["Subject"]
    assert mail["Bcc"] is None
    assert "invites you" in mail.get_content().splitlines()[0]


async def test_invitations_at_once(api: Api, acme: TenantHandle) -> None:
    """Of several admins who invite the same address at the same moment one succeeds."""
    email = address()
    body = {"email": email, "role": "viewer"}

    answers = await asyncio.gather(*(api.as_(by).post("/invitations", json=body) for by in (acme.admin, acme.owner)))

    assert [201, 409] == sorted(answer.status_code for answer in answers)
    assert problem(409, "already_invited") in answers
