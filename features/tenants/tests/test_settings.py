import asyncio
from typing import Any

import pytest
from sqlalchemy import text

from features.tenants.settings import TenantsSettings
from tenantry.db.database import Database
from tenantry.tenancy.settings import settings_of
from tenantry.testing import Api, TenantHandle, problem

DEFAULTS = {"locale": "en", "time_zone": "UTC"}


async def stored(database: Database, tenant: TenantHandle) -> Any:
    async with database.transaction() as unit_of_work:
        await unit_of_work.bind_tenant(tenant.id)
        return await unit_of_work.scalar(text("SELECT settings FROM tenants"))


async def test_only_what_was_set_is_stored(api: Api, acme: TenantHandle, database: Database) -> None:
    """All settings are shown, with the defaults of what nobody set; changes of one field leave the others alone."""
    before = await api.as_(acme.viewer).get("/tenants/current")
    first = await api.as_(acme.admin).patch("/tenants/current", json={"settings": {"tenants": {"locale": "de-CH"}}})
    then = await api.as_(acme.admin).patch(
        "/tenants/current", json={"settings": {"tenants": {"time_zone": "Europe/Zurich"}}}
    )
    after = await api.as_(acme.viewer).get("/tenants/current")

    assert DEFAULTS == before.json()["settings"]["tenants"]
    assert {**DEFAULTS, "locale": "de-CH"} == first.json()["settings"]["tenants"]
    assert {"locale": "de-CH", "time_zone": "Europe/Zurich"} == then.json()["settings"]["tenants"]
    assert then.json() == after.json()
    assert {"tenants": {"locale": "de-CH", "time_zone": "Europe/Zurich"}} == await stored(database, acme)


@pytest.mark.parametrize(
    ("change", "kept"),
    [
        ({}, {"locale": "de", "time_zone": "Europe/Zurich"}),
        ({"tenants": {}}, {"locale": "de", "time_zone": "Europe/Zurich"}),
        ({"tenants": {"locale": None}}, {"time_zone": "Europe/Zurich"}),
        ({"tenants": {"locale": None, "time_zone": "UTC"}}, {"time_zone": "UTC"}),
        ({"tenants": None}, {}),
    ],
)
async def test_null_is_another_thing_than_absent(
    api: Api, acme: TenantHandle, database: Database, change: dict[str, Any], kept: dict[str, str]
) -> None:
    """RFC 7396: what is absent stays, null puts back the default of a field or of a section, a value is set."""
    admin = api.as_(acme.admin)
    await admin.patch(
        "/tenants/current", json={"settings": {"tenants": {"locale": "de", "time_zone": "Europe/Zurich"}}}
    )

    response = await admin.patch("/tenants/current", json={"settings": change})

    assert DEFAULTS | kept == response.json()["settings"]["tenants"]
    assert kept == (await stored(database, acme)).get("tenants", {})


@pytest.mark.parametrize(
    ("given", "pointers"),
    [
        ({"tenants": {"time_zone": "Mars/Olympus"}}, ["/settings/tenants/time_zone"]),
        ({"tenants": {"time_zone": "../../etc/passwd"}}, ["/settings/tenants/time_zone"]),
        ({"tenants": {"time_zone": ""}}, ["/settings/tenants/time_zone"]),
        ({"tenants": {"locale": "english"}}, ["/settings/tenants/locale"]),
        ({"tenants": {"locale": 2, "time_zone": 1}}, ["/settings/tenants/locale", "/settings/tenants/time_zone"]),
        ({"tenants": {"colour": "red"}}, ["/settings/tenants/colour"]),
        ({"tenants": []}, ["/settings/tenants"]),
        ({"nothing": {}}, ["/settings/nothing"]),
        (None, ["/settings"]),
    ],
)
async def test_wrong_settings(
    api: Api, acme: TenantHandle, database: Database, given: Any, pointers: list[str]
) -> None:
    """Whatever is wrong is named by its place in the body, and nothing is stored."""
    response = await api.as_(acme.admin).patch("/tenants/current", json={"name": "New", "settings": given})

    assert problem(422, "validation_failed") == response
    assert pointers == [fault["pointer"] for fault in response.json()["errors"]]
    assert {} == await stored(database, acme)


async def test_stale_settings_are_not_set(api: Api, acme: TenantHandle) -> None:
    """What a slice does not accept any more, and sections of slices that are gone, count as not set."""
    stale = '{"gone": {"a": 1}, "tenants": {"locale": "fr", "time_zone": "X", "b": 1}}'
    await acme.run(text("UPDATE tenants SET settings = CAST(:stale AS jsonb)").bindparams(stale=stale))

    current = await api.as_(acme.viewer).get("/tenants/current")

    assert {**DEFAULTS, "locale": "fr"} == current.json()["settings"]["tenants"]
    assert "gone" not in current.json()["settings"]


async def test_a_slice_reads_its_own(api: Api, acme: TenantHandle, globex: TenantHandle, database: Database) -> None:
    """In code a section is its type, of the tenant that is bound."""
    await api.as_(acme.admin).patch("/tenants/current", json={"settings": {"tenants": {"locale": "fr"}}})
    found = []
    for tenant in (acme, globex):
        async with database.transaction() as unit_of_work:
            await unit_of_work.bind_tenant(tenant.id)
            found.append(await settings_of(unit_of_work, TenantsSettings))

    assert [TenantsSettings(locale="fr"), TenantsSettings()] == found


async def test_changes_at_once_are_kept(api: Api, acme: TenantHandle) -> None:
    """Two people who change different settings at the same time do not undo each other."""
    admin = api.as_(acme.admin)
    await asyncio.gather(
        *(
            admin.patch("/tenants/current", json={"settings": {"tenants": change}})
            for change in ({"locale": "fr"}, {"time_zone": "Europe/Paris"})
        )
    )
    current = await admin.get("/tenants/current")

    assert {"locale": "fr", "time_zone": "Europe/Paris"} == current.json()["settings"]["tenants"]


async def test_document_shows_the_sections(api: Api) -> None:
    """The OpenAPI document has the settings of every slice with their descriptions and defaults."""
    schemas = (await api.get("//docs/openapi.json")).json()["components"]["schemas"]

    assert {"$ref": "#/components/schemas/TenantsSettings"} == schemas["TenantSettings"]["properties"]["tenants"]
    assert {"locale", "time_zone"} == schemas["TenantsSettings"]["properties"].keys()
    assert {"locale", "time_zone"} == schemas["TenantsSettingsPatch"]["properties"].keys()
    assert "settings" in schemas["TenantPatch"]["properties"]
