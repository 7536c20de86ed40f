import re

from tenantry.feature import slice_modules
from tenantry.security.permissions import declared_permissions
from tenantry.testing import Api, TenantHandle


async def test_catalogue_is_what_is_declared(api: Api, acme: TenantHandle) -> None:
    """Each permission that a slice declares is listed once, with the built-in roles that include it."""
    listed = (await api.as_(acme.viewer).get("/permissions")).json()
    roles = (await api.as_(acme.viewer).get("/roles")).json()["items"]

    declared = declared_permissions(slice_modules("features", "permissions"))
    assert [(each.name, each.description) for each in declared] == [
        (item["name"], item["description"]) for item in listed["items"]
    ]
    for item in listed["items"]:
        assert [role["name"] for role in roles if item["name"] in role["permissions"]] == item["roles"]
    assert None is listed["next_cursor"]


async def test_routes_are_those_of_the_document(api: Api, acme: TenantHandle) -> None:
    """The routes that need a permission are the operations whose description says so."""
    listed = (await api.as_(acme.viewer).get("/permissions")).json()
    document = (await api.get("//docs/openapi.json")).json()

    said = {
        (permission, method.upper(), path)
        for path, item in document["paths"].items()
        for method, operation in item.items()
        for permission in re.findall(r"Permission: `(.+)`", operation.get("description", ""))
    }
    routes = [(item["name"], each["method"], each["path"]) for item in listed["items"] for each in item["routes"]]
    assert sorted(said) == sorted(routes)
    assert ("roles:read", "GET", "/api/v1/permissions") in said
