from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from features.projects.tests.factories import ProjectFactory
from tenantry.clock import now
from tenantry.testing import Api, TenantHandle, problem

START = datetime(2026, 1, 1, tzinfo=UTC)


async def names(api: Api, **query: Any) -> list[str]:
    response = await api.get("/projects", params=query)
    assert 200 == response.status_code, response.text
    return [item["name"] for item in response.json()["items"]]


async def walk(api: Api, **query: Any) -> list[list[str]]:
    """The names on each page, until there is no next one."""
    pages, cursor = [], None
    while True:
        page = (await api.get("/projects", params=query | ({"cursor": cursor} if cursor else {}))).json()
        pages.append([item["name"] for item in page["items"]])
        cursor = page["next_cursor"]
        if cursor is None:
            return pages


async def test_newest_first(api: Api, acme: TenantHandle) -> None:
    """Without a sort the newest project comes first."""
    for day, name in enumerate(["Mercury", "Gemini", "Apollo"]):
        await acme.has(ProjectFactory, name=name, created_at=START + timedelta(days=day))

    assert ["Apollo", "Gemini", "Mercury"] == await names(api.as_(acme.viewer))


async def test_empty(api: Api, acme: TenantHandle) -> None:
    """A tenant without projects gets an empty page without a next one."""
    response = await api.as_(acme.viewer).get("/projects", params={"include_total": True})

    assert {"items": [], "next_cursor": None, "total": 0} == response.json()


@pytest.mark.parametrize("sort", ["name", "-name", "created_at", "-created_at", "updated_at"])
async def test_pages_are_the_whole_list(api: Api, acme: TenantHandle, sort: str) -> None:
    """Page by page gives every project once, in the order of the whole list, also where values repeat."""
    for number in range(7):
        await acme.has(ProjectFactory, name=f"P{number}", created_at=START + timedelta(days=number // 3))
    viewer = api.as_(acme.viewer)

    pages = await walk(viewer, sort=sort, limit=3)

    assert [3, 3, 1] == [len(page) for page in pages]
    assert await names(viewer, sort=sort) == [name for page in pages for name in page]


async def test_pages_are_stable_under_inserts(api: Api, acme: TenantHandle) -> None:
    """A project that is created between two pages neither repeats nor hides another."""
    for number in range(4):
        await acme.has(ProjectFactory, name=f"P{number}", created_at=START + timedelta(days=number))
    viewer = api.as_(acme.viewer)

    first = (await viewer.get("/projects", params={"limit": 2})).json()
    await acme.has(ProjectFactory, name="New", created_at=START + timedelta(days=9))
    second = (await viewer.get("/projects", params={"limit": 2, "cursor": first["next_cursor"]})).json()

    assert ["P3", "P2", "P1", "P0"] == [item["name"] for item in first["items"] + second["items"]]
    assert second["next_cursor"] is None


async def test_filters(api: Api, acme: TenantHandle) -> None:
    """Filters narrow the list and its total, all at once; wildcards in them are plain characters."""
    await acme.has(ProjectFactory, name="Apollo 11")
    await acme.has(ProjectFactory, name="apollo 100%")
    await acme.has(ProjectFactory, name="Gemini", archived_at=now())
    viewer = api.as_(acme.viewer)

    assert ["Apollo 11", "apollo 100%"] == sorted(await names(viewer, **{"name[contains]": "APOLLO"}))
    assert ["apollo 100%"] == await names(viewer, **{"name[contains]": "0%"})
    assert ["Apollo 11"] == await names(viewer, name="Apollo 11")
    assert [] == await names(viewer, name="Apollo")
    assert [] == await names(viewer, name="Apollo 11", archived=True)
    assert ["Gemini"] == await names(viewer, archived=True)
    assert ["Apollo 11", "apollo 100%"] == sorted(await names(viewer, archived=False))
    total = await viewer.get("/projects", params={"archived": False, "include_total": True, "limit": 1})
    assert 2 == total.json()["total"]


async def test_tenants_see_their_own(api: Api, acme: TenantHandle, globex: TenantHandle) -> None:
    """A list holds the projects of the active tenant only."""
    for number in range(3):
        await acme.has(ProjectFactory, name=f"Acme {number}")
        await globex.has(ProjectFactory, name=f"Globex {number}")

    assert ["Acme 2", "Acme 1", "Acme 0"] == await names(api.as_(acme.viewer))


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"sort": ""}, "invalid_sort"),
        ({"sort": "description"}, "invalid_sort"),
        ({"sort": "--name"}, "invalid_sort"),
        ({"limit": 0}, "invalid_parameter"),
        ({"limit": 201}, "invalid_parameter"),
        ({"limit": "many"}, "invalid_parameter"),
        ({"archived": "perhaps"}, "invalid_parameter"),
        ({"cursor": "????"}, "invalid_cursor"),
        ({"cursor": "bnVsbA"}, "invalid_cursor"),
        ({"cursor": "WyItbmFtZSIsICJhIiwgImIiXQ"}, "invalid_cursor"),
        ({"cursor": ""}, "invalid_cursor"),
        ({"created_at[gte]": "9999-12-31T23:59:59-12:00"}, "invalid_parameter"),
        ({"created_at[gte]": "2026-01-01T00:00:00"}, "invalid_parameter"),
        ({"created_at[gte]": "yesterday"}, "invalid_parameter"),
        ({"id": "seven"}, "invalid_parameter"),
        ({"id[in]": f"{UUID(int=1)},seven"}, "invalid_parameter"),
        ({"id[in]": ",".join([str(UUID(int=1))] * 101)}, "invalid_parameter"),
        ({"search": ""}, "invalid_parameter"),
        ({"limit": [1, 2]}, "invalid_parameter"),
        ({"created_at": "2026-01-01T00:00:00Z"}, "unknown_parameter"),
        ({"id[gte]": str(UUID(int=1))}, "unknown_parameter"),
        ({"description": "x"}, "unknown_parameter"),
        ({"Limit": "1"}, "unknown_parameter"),
        ({"": "1"}, "unknown_parameter"),
    ],
)
async def test_bad_queries(api: Api, acme: TenantHandle, query: dict[str, Any], code: str) -> None:
    """A query that cannot be understood is a 400 that says why, never an empty list."""
    response = await api.as_(acme.viewer).get("/projects", params=query)

    assert problem(400, code) == response
