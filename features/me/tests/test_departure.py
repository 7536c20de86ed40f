"""The end of an account: nothing that says whose it was is left."""

import pytest
from sqlalchemy import text

from tenantry.db.database import Database
from tenantry.security.permissions import Role
from tenantry.testing import Api, Mailbox, TenantHandle, World, problem

MEMBERSHIPS = text("SELECT count(*) FROM memberships WHERE user_id = :id")
ROW = text("SELECT email, name, password_hash, disabled_at FROM users WHERE id = :id")
SECRETS = text("SELECT count(*) FROM totp_secrets WHERE user_id = :id AND sealed_secret <> ''")
VISITORS = text("SELECT user_agent, address, opened_from, ended_at FROM sessions WHERE user_id = :id")


@pytest.mark.asvs("7.4.2")
async def test_account_goes_and_its_row_says_nothing(
    api: Api, acme: TenantHandle, globex: TenantHandle, mailbox: Mailbox, database: Database
) -> None:
    """All memberships and sessions end, and the row that others refer to names nobody; the address is free again."""
    ada = acme.member
    await globex.admit(ada, Role.viewer)
    await api.as_(ada).post("/auth/mfa/totp")
    await api.post("/auth/login", json={"email": ada.email, "password": ada.password})
    gone = await api.as_(ada).delete("/me")
    refused = await api.as_(ada).get("/me")
    login = await api.post("/auth/login", json={"email": ada.email, "password": ada.password})
    memberships = [await tenant.scalar(MEMBERSHIPS.bindparams(id=ada.id)) for tenant in (acme, globex)]
    async with database.transaction() as unit_of_work:
        row = await unit_of_work.row(ROW, {"id": ada.id})
        visitors = await unit_of_work.rows(VISITORS, {"id": ada.id})
        secrets = await unit_of_work.scalar(SECRETS, {"id": ada.id})
    await api.post("/auth/signup", json={"email": ada.email, "password": ada.password, "name": "Ada Again"})

    assert 204 == gone.status_code
    assert problem(401, "session_ended") == refused
    assert problem(401, "invalid_credentials") == login
    assert [0, 0] == memberships
    assert 0 == secrets
    assert row is not None
    assert (f"{ada.id}@deleted.invalid", "", None) == (row.email, row.name, row.password_hash)
    assert row.disabled_at is not None
    assert {("", "", "")} == {(each.user_agent, each.address, each.opened_from) for each in visitors}
    assert all(each.ended_at is not None for each in visitors)
    assert ["Confirm your e-mail address", "New log-in to Tenantry", "Your account is deleted"] == sorted(
        str(mail["Subject"]) for mail in mailbox.to(ada.email)
    )


async def test_last_owner_stays(api: Api, acme: TenantHandle, globex: TenantHandle, world: World) -> None:
    """Who is the last owner of a tenant is told of which, and nothing has changed; with an heir they can go."""
    ada = acme.owner
    await globex.admit(ada, Role.viewer)
    refused = await api.as_(ada).delete("/me")
    left = await api.as_(ada).get("/tenants")
    await acme.admit(await world.account("heir"), Role.owner)
    gone = await api.as_(ada).delete("/me")

    assert problem(409, "last_owner", tenant_id=str(acme.id)) == refused
    assert str(globex.id) not in refused.text
    assert {str(acme.id), str(globex.id)} == {tenant["id"] for tenant in left.json()["items"]}
    assert 204 == gone.status_code
