from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import insert, select, text

from features.sso_connections.models import ConnectionRow, DomainRow
from tenantry.clock import now
from tenantry.ids import new_id
from tenantry.testing import Account, Api, TenantHandle, problem

SECRET = "the secret of the client"
CONNECTION = {
    "name": "Keycloak",
    "issuer": "https://idp.example.com/realms/acme",
    "client_id": "tenantry",
    "client_secret": SECRET,
    "default_role": "member",
    "domains": ["acme.example"],
}


async def create(api: Api, account: Account, **changes: Any) -> httpx.Response:
    return await api.as_(account).post("/sso/connections", json=CONNECTION | changes)


async def opened_by(connection: str, tenant: TenantHandle, account: Account) -> None:
    statement = text("UPDATE sessions SET connection_id = :connection WHERE id = :session")
    await tenant.run(statement.bindparams(connection=UUID(connection), session=account.session_id))


async def stored_secret(tenant: TenantHandle) -> bytes:
    async with tenant.database.transaction() as unit_of_work:
        await unit_of_work.bind_tenant(tenant.id)
        secret: bytes = await unit_of_work.scalar(select(ConnectionRow.client_secret))
        return secret


async def test_connection_tells_all_but_its_secret(api: Api, acme: TenantHandle) -> None:
    """What was given is shown, the secret never; no domain is confirmed by naming it."""
    created = await create(api, acme.admin)
    read = await api.as_(acme.admin).get(f"/sso/connections/{created.json()['id']}")
    listed = await api.as_(acme.admin).get("/sso/connections")

    assert 201 == created.status_code
    assert created.json() == read.json() == listed.json()["items"][0]
    assert {name: value for name, value in CONNECTION.items() if name != "client_secret"}.items() <= read.json().items()
    assert ([], False) == (read.json()["confirmed_domains"], read.json()["required"])
    assert SECRET not in created.text + read.text + listed.text


async def test_secret_is_sealed(api: Api, acme: TenantHandle) -> None:
    """The database holds nothing of it that can be read; another one takes its place."""
    created = await create(api, acme.admin)
    before = await stored_secret(acme)
    await api.as_(acme.admin).patch(f"/sso/connections/{created.json()['id']}", json={"client_secret": "another"})

    after = await stored_secret(acme)

    assert SECRET.encode() not in before
    assert before != after


async def test_changes_hold_and_the_rest_stays(api: Api, acme: TenantHandle) -> None:
    """Fields that are left out stay as they are."""
    created = (await create(api, acme.admin)).json()
    changes = {"name": "Okta", "issuer": "https://okta.example", "default_role": "viewer", "domains": ["b.example"]}

    changed = await api.as_(acme.admin).patch(f"/sso/connections/{created['id']}", json=changes)

    assert created | changes == changed.json() | {"updated_at": created["updated_at"]}


async def test_only_admins_come_near(api: Api, acme: TenantHandle) -> None:
    """A member neither sees connections nor makes one."""
    assert problem(403, "permission_missing", permission="sso:write") == await create(api, acme.member)
    assert problem(403, "permission_missing", permission="sso:read") == await api.as_(acme.member).get(
        "/sso/connections"
    )


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"default_role": "owner"}, 422, "sso_default_owner"),
        ({"default_role": "nobody"}, 422, "unknown_role"),
        ({"issuer": "https://idp.example/?x=1"}, 422, "validation_failed"),
        ({"issuer": "https://a@idp.example"}, 422, "validation_failed"),
        ({"issuer": "ftp://idp.example"}, 422, "validation_failed"),
        ({"domains": ["Acme.example"]}, 422, "validation_failed"),
        ({"domains": ["acme"]}, 422, "validation_failed"),
    ],
)
async def test_nonsense_is_refused(
    api: Api, acme: TenantHandle, changes: dict[str, Any], status: int, code: str
) -> None:
    """No provider makes owners, and addresses and domains are spelled in one way."""
    refused = await create(api, acme.owner, **changes)

    assert problem(status, code) == refused
    named = {fault["pointer"].split("/")[1] for fault in refused.json().get("errors", ())}
    assert named <= changes.keys()


async def test_names_and_domains_are_unique_in_a_tenant(api: Api, acme: TenantHandle, globex: TenantHandle) -> None:
    """Another tenant may have both, and is not told of the first."""
    await create(api, acme.admin)

    assert problem(409, "sso_connection_name_taken") == await create(api, acme.admin, domains=[])
    assert problem(409, "sso_domain_taken") == await create(api, acme.admin, name="Okta")
    assert 201 == (await create(api, globex.admin)).status_code


async def test_required_connection_shuts_out_the_others(api: Api, acme: TenantHandle) -> None:
    """All but owners must have come by it from the next request on, until it is required no more."""
    created = (await create(api, acme.owner, required=True)).json()
    refused = await api.as_(acme.admin).get("/tenants/current")
    await opened_by(created["id"], acme, acme.member)
    by_it = await api.as_(acme.member).get("/tenants/current")

    relaxed = await api.as_(acme.owner).patch(f"/sso/connections/{created['id']}", json={"required": False})
    again = await api.as_(acme.admin).get("/tenants/current")

    assert created["required"]
    assert not relaxed.json()["required"]
    assert problem(403, "tenant_requires_sso") == refused
    assert [200, 200] == [by_it.status_code, again.status_code]


@pytest.mark.asvs("7.6.1")
async def test_deletion_ends_its_sessions(api: Api, acme: TenantHandle) -> None:
    """Whoever came by it is out, whoever did not is in again."""
    created = (await create(api, acme.owner, required=True)).json()
    await opened_by(created["id"], acme, acme.member)

    deleted = await api.as_(acme.owner).delete(f"/sso/connections/{created['id']}")
    ended, other = [await api.as_(account).get("/tenants/current") for account in (acme.member, acme.admin)]

    assert 204 == deleted.status_code
    assert problem(401, "session_ended") == ended
    assert 200 == other.status_code


async def test_service_cannot_confirm_domains(api: Api, acme: TenantHandle) -> None:
    """The runtime role only reads whose a domain is."""
    confirming = insert(DomainRow).values(domain=f"{new_id()}.example", tenant_id=acme.id, confirmed_at=now())

    with pytest.raises(Exception, match="permission denied for table sso_domains"):
        await acme.run(confirming)
