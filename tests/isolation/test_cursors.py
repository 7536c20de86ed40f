"""A cursor is good for one tenant, one list, one order and one set of filters, and nobody can make one."""

import base64
from base64 import b64encode
from typing import Any
from uuid import UUID

import msgspec
import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from features.projects.tests.factories import ProjectFactory
from tenantry.app import create_app
from tenantry.config import Settings
from tenantry.db.page import Position
from tenantry.http.page import about_list
from tenantry.security.cursors import CursorSeal, InvalidCursor
from tenantry.security.keys import generate, private_bytes
from tenantry.testing import Api, TenantHandle, World, asgi_client, problem

FIRST = {"limit": "1", "sort": "name", "name[contains]": "P"}
LIST = "/api/v1/projects"


class Keys:
    """Of somebody else."""

    def derived_keys(self, purpose: str) -> list[bytes]:
        return [b"x" * 32]


@pytest.fixture
async def cursor(api: Api, acme: TenantHandle) -> str:
    """Of the first page of Acme's projects, as `FIRST` asks for them."""
    for number in range(3):
        await acme.has(ProjectFactory, name=f"P{number}")
    return str((await api.as_(acme.viewer).get("/projects", params=FIRST)).json()["next_cursor"])


async def test_good_one_is_taken(api: Api, acme: TenantHandle, cursor: str) -> None:
    """Any member of the tenant may go on where the page ended."""
    page = await api.as_(acme.owner).get("/projects", params=FIRST | {"cursor": cursor})

    assert ["P1"] == [item["name"] for item in page.json()["items"]]


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/projects", {"sort": "-name"}),
        ("/projects", {"sort": "created_at"}),
        ("/projects", {"name[contains]": "Q"}),
        ("/projects", {"name": "P1"}),
        ("/projects", {"archived": "false"}),
        ("/projects", {"search": "P1"}),
        ("/service-accounts", {}),
    ],
)
async def test_for_another_question(
    api: Api, acme: TenantHandle, cursor: str, path: str, query: dict[str, str]
) -> None:
    """Another order, filter, search or list refuses it."""
    response = await api.as_(acme.owner).get(path, params=FIRST | query | {"cursor": cursor})

    assert problem(400, "invalid_cursor") == response


async def test_of_another_tenant(api: Api, globex: TenantHandle, cursor: str) -> None:
    """Whoever has another tenant's cursor learns nothing with it, not even where its rows are."""
    response = await api.as_(globex.owner).get("/projects", params=FIRST | {"cursor": cursor})

    assert problem(400, "invalid_cursor") == response


async def test_of_another_person(api: Api, world: World, acme: TenantHandle) -> None:
    """A list of one's own, which belongs to no tenant, gives cursors to that person only."""
    other = await world.tenant("other")
    await other.admit(acme.owner, role=acme_owner_role(acme))
    mine = (await api.as_(acme.owner).get("/tenants", params={"limit": 1})).json()["next_cursor"]

    assert problem(400, "invalid_cursor") == await api.as_(acme.admin).get(
        "/tenants", params={"limit": 1, "cursor": mine}
    )
    assert 200 == (await api.as_(acme.owner).get("/tenants", params={"limit": 1, "cursor": mine})).status_code


def acme_owner_role(acme: TenantHandle) -> Any:
    return next(role for role, account in acme.accounts.items() if account == acme.owner)


async def test_tampered(api: Api, acme: TenantHandle, cursor: str) -> None:
    """No character of it can be changed, left out or added."""
    swapped = [cursor[:at] + ("A" if cursor[at] != "A" else "B") + cursor[at + 1 :] for at in range(0, len(cursor), 7)]
    others = [cursor[:-1], cursor[1:], f"{cursor}A", f"{cursor}=", f"{cursor}!", f" {cursor}", cursor[:20], "é"]
    viewer = api.as_(acme.viewer)

    for forged in (*swapped, *others):
        response = await viewer.get("/projects", params=FIRST | {"cursor": forged})
        assert problem(400, "invalid_cursor") == response, forged


async def test_forged(api: Api, acme: TenantHandle) -> None:
    """Who knows how cursors are made still has no key to make one, nor does one without a seal open anything."""
    position = msgspec.json.encode(Position(backwards=False, value="", id=UUID(int=0)))
    sealed = CursorSeal(Keys()).close(position, about_list(LIST, acme.id, "name", FIRST))
    bare = base64.urlsafe_b64encode(position).decode().rstrip("=")

    for forged in (sealed, bare):
        response = await api.as_(acme.viewer).get("/projects", params=FIRST | {"cursor": forged})
        assert problem(400, "invalid_cursor") == response


@pytest.mark.parametrize("change", ["restart", "token key", "encryption key"])
async def test_list_goes_on_while_keys_change(settings: Settings, acme: TenantHandle, cursor: str, change: str) -> None:
    """Neither a restart, nor another key for tokens, nor a new one for secrets in front of the old ends a list."""
    old, new = ((settings.home_path / "keys" / "encryption.key").read_text(), b64encode(bytes(32)).decode())
    changes: dict[str, dict[str, str]] = {
        "restart": {},
        "token key": {"token_private_key": private_bytes(generate("EdDSA"), Encoding.PEM).decode()},
        "encryption key": {"key_encryption_key": f"{new},{old}"},
    }
    service = create_app(msgspec.structs.replace(settings, **changes[change]))
    async with service.lifespan(), asgi_client(service) as client:
        given = {"email": acme.owner.email, "password": acme.owner.password, "tenant_id": str(acme.id)}
        token = (await Api(client).post("/auth/login", json=given)).json()["access_token"]
        page = await Api(client, token).get("/projects", params=FIRST | {"cursor": cursor})

    assert ["P1"] == [item["name"] for item in page.json()["items"]]


async def test_tenant_is_no_field(api: Api, acme: TenantHandle, globex: TenantHandle) -> None:
    """No list can be filtered or sorted by the tenant."""
    codes = set()
    for path in ("projects", "members", "invitations", "service-accounts", "api-keys", "tenants"):
        for query in (f"tenant_id={globex.id}", f"tenant_id[in]={globex.id}", "sort=tenant_id", "sort=-tenant_id"):
            response = await api.as_(acme.owner).get(f"/{path}?{query}")
            codes.add((response.status_code, response.json()["code"]))

    assert {(400, "unknown_parameter"), (400, "invalid_sort")} == codes


async def test_foreign_row_matches_nothing(api: Api, acme: TenantHandle, globex: TenantHandle) -> None:
    """A filter that names another tenant's row finds as much as one that names a row that never was."""
    row = await globex.has(ProjectFactory, name="Secret")
    found = []
    for query in (f"id={row.id}", f"id[in]={row.id}", "name=Secret", "name[contains]=ecre", "search=secret"):
        page = await api.as_(acme.viewer).get(f"/projects?include_total=true&{query}")
        found.append(page.json())

    assert [{"items": [], "next_cursor": None, "total": 0}] * 5 == found


def test_seal_is_for_one_key() -> None:
    """What one key has sealed, the same key opens, and for what it was sealed for only."""
    seal = CursorSeal(Keys())

    assert b"here" == seal.open(seal.close(b"here", ["a"]), ["a"])
    with pytest.raises(InvalidCursor):
        seal.open(seal.close(b"here", ["a"]), ["b"])
