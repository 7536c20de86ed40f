"""`tenantry tenants …`: what operators do, as a process of its own."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import psycopg
import pytest

from tenantry.testing import Api, TenantHandle, World, problem
from tenantry.testing.databases import DatabaseUrls
from tests.contract.commands import tenantry

Told = tuple[int, str, str]


class Operator:
    def __init__(self, urls: DatabaseUrls, folder: Path) -> None:
        self.urls, self.folder = urls, folder

    def run(self, *commands: str) -> Told:
        """The last one's exit code, and what all of them said."""
        done = tenantry(self.urls, self.folder, *(f"tenants {command}" for command in commands))
        return done.returncode, done.stdout, done.stderr

    def listed(self) -> dict[str, dict[str, Any]]:
        _, told, _ = self.run("list --json")
        return {tenant["slug"]: tenant for tenant in map(json.loads, told.rstrip("\n").split("\n"))}


@pytest.fixture
def operator(database_urls: DatabaseUrls, tmp_path: Path) -> Operator:
    return Operator(database_urls, tmp_path)


@pytest.fixture
def admin(database_urls: DatabaseUrls) -> Iterator["psycopg.Connection[Any]"]:
    with psycopg.connect(database_urls.conninfo, autocommit=True) as connection:
        yield connection


async def test_list_shows_every_tenant(operator: Operator, acme: TenantHandle, globex: TenantHandle) -> None:
    """Operators see the tenants, which the service sees one at a time, and nothing inside of them."""
    listed = operator.listed()
    code, table, _ = operator.run("list")

    assert {acme.slug, globex.slug} <= listed.keys()
    assert (str(acme.id), "active", "unlimited") == tuple(listed[acme.slug][key] for key in ("id", "status", "plan"))
    assert (0, True) == (code, "slug" in table)


async def test_suspend_plan_and_resume(api: Api, operator: Operator, acme: TenantHandle) -> None:
    """What the command does holds for the next request of a service that runs."""
    before = await api.as_(acme.owner).get("/tenants/current")
    suspended = operator.run(f"plan {acme.slug} team", f"suspend {acme.slug}")
    refused = await api.as_(acme.owner).get("/tenants/current")
    resumed = operator.run(f"resume {acme.slug}")
    after = await api.as_(acme.owner).get("/tenants/current")

    assert ([0, 0], "unlimited") == ([suspended[0], resumed[0]], before.json()["plan"])
    assert problem(403, "tenant_suspended") == refused
    assert ("active", "team") == (after.json()["status"], after.json()["plan"])


async def test_create_for_an_owner(api: Api, world: World, operator: Operator) -> None:
    """A tenant gets an owner who has an account; without one, or with a slug that is not one, nothing is created."""
    ada = await world.account()
    slug = f"made-{ada.id.hex[-12:]}"

    nobody = operator.run(f"create {slug} --name Made --owner nobody@example.com")
    wrong = operator.run(f"create Not_A_Slug --name Made --owner {ada.email}")
    made = operator.run(f"create {slug} --name Made --owner {ada.email.upper()} --plan free")
    twice = operator.run(f"create {slug} --name Made --owner {ada.email}")
    mine = await api.as_(ada).get("/tenants")

    assert [1, 2, 0, 1] == [nobody[0], wrong[0], made[0], twice[0]]
    assert ["person_not_found" in nobody[2], "tenant_slug_taken" in twice[2]] == [True, True]
    assert [(slug, "owner")] == [(each["slug"], each["role"]) for each in mine.json()["items"]]
    assert "free" == operator.listed()[slug]["plan"]


async def test_deletion_is_taken_back(api: Api, operator: Operator, acme: TenantHandle) -> None:
    """A deletion waits for its time, in which `erase` leaves the tenant alone."""
    deleted = operator.run(f"delete {acme.slug}", "erase")
    refused = await api.as_(acme.owner).get("/tenants/current")
    suspended = operator.run(f"suspend {acme.slug}")
    restored = operator.run(f"restore {acme.slug}")
    after = await api.as_(acme.owner).get("/tenants/current")

    assert [0, 1, 0] == [deleted[0], suspended[0], restored[0]]
    assert "tenant_status_hinders" in suspended[2]
    assert problem(403, "tenant_deleting") == refused
    assert 200 == after.status_code


async def test_erased_at_once(
    operator: Operator, admin: "psycopg.Connection[Any]", tmp_path: Path, acme: TenantHandle
) -> None:
    """Only who confirms it erases without a grace; the signed report is in the file and in the database."""
    asked = operator.run(f"delete {acme.slug} --now")
    still = operator.listed()
    erased = operator.run(f"delete {acme.slug} --now --yes --report {tmp_path / 'reports'}")
    gone = operator.run(f"delete {acme.slug}")

    [(stored,)] = admin.execute("SELECT report FROM erasures WHERE id = %s", [acme.id]).fetchall()
    claims = jwt.decode(stored, options={"verify_signature": False})
    assert [1, 0, 1] == [asked[0], erased[0], gone[0]]
    assert "active" == still[acme.slug]["status"]
    assert f"{stored}\n" == (tmp_path / "reports").read_text()
    assert str(acme.id) == claims["tenant"]
    assert "no_such_tenant" in gone[2]


async def test_exported_and_imported(api: Api, operator: Operator, acme: TenantHandle, tmp_path: Path) -> None:
    """What one tenant had is another's: its people are members in their roles, and its projects are there."""
    await api.as_(acme.member).post("/projects", json={"name": "Apollo"})
    file, copy = tmp_path / "acme.zip", f"{acme.slug}-copy"

    told = operator.run(f"export {acme.slug} {file}", f"import {file} --slug {copy}")
    again = operator.run(f"import {file} --slug {copy}")
    file.write_bytes(file.read_bytes()[:-1])
    cut = operator.run(f"import {file} --slug {copy}-2")
    mine = (await api.as_(acme.member).get("/tenants")).json()["items"]
    switched = await api.as_(acme.member).post("/auth/switch", json={"tenant_id": operator.listed()[copy]["id"]})
    projects = await api.bearing(switched.json()["access_token"]).get("/projects")

    assert (0, True) == (told[0], f"Created {copy}: 1 projects, 4 memberships" in told[1]), told
    assert {acme.slug: "member", copy: "member"} == {each["slug"]: each["role"] for each in mine}
    assert ["Apollo"] == [each["name"] for each in projects.json()["items"]]
    assert (1, 1) == (again[0], cut[0])
    assert "Another tenant has this slug" in again[2]
    assert f"{copy}-2" not in operator.listed()
