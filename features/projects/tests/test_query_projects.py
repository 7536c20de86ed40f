from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from features.projects.tests.factories import ProjectFactory
from tenantry.feature import API_PREFIX
from tenantry.testing import Api, TenantHandle, problem

START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
async def viewer(api: Api, acme: TenantHandle) -> Api:
    """Of seven projects, P0 to P6, a day apart."""
    for day in range(7):
        await acme.has(ProjectFactory, name=f"P{day}", created_at=START + timedelta(days=day))
    return api.as_(acme.viewer)


def names(page: httpx.Response) -> list[str]:
    return [item["name"] for item in page.json()["items"]]


async def follow(api: Api, page: httpx.Response, rel: str) -> httpx.Response | None:
    """The page that the `Link` header names, if it names one."""
    link = page.links.get(rel)
    return None if link is None else await api.get(link["url"].removeprefix(API_PREFIX))


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"created_at[gte]": "2026-01-06T00:00:00Z"}, "P5 P6"),
        ({"created_at[gt]": "2026-01-06T01:00:00+01:00"}, "P6"),
        ({"created_at[lt]": "2026-01-02T00:00:00Z"}, "P0"),
        ({"created_at[lte]": "2026-01-02T00:00:00Z"}, "P0 P1"),
        ({"created_at[gte]": "2026-01-02T00:00:00Z", "created_at[lt]": "2026-01-04T00:00:00Z"}, "P1 P2"),
        ({"name": "P3"}, "P3"),
        ({"name[contains]": "p"}, "P0 P1 P2 P3 P4 P5 P6"),
        ({"archived": "true"}, ""),
    ],
)
async def test_operators(viewer: Api, query: dict[str, str], found: str) -> None:
    """Each operator is what it says, moments are compared in any time zone, and several filters hold together."""
    page = await viewer.get("/projects", params=query | {"sort": "name", "include_total": True})

    assert found.split() == names(page)
    assert len(found.split()) == page.json()["total"]


async def test_any_of_several_ids(viewer: Api) -> None:
    """`id[in]` finds those that there are among the ids, with commas between them or each in a parameter of its own."""
    items = (await viewer.get("/projects", params={"sort": "name"})).json()["items"]
    wanted = [items[1]["id"], items[4]["id"], "01981f2e-5c1b-7d4e-9a53-0c6f2f0b7a11"]

    for form in (",".join(wanted), wanted, [wanted[0], ",".join(wanted[1:])]):
        assert ["P1", "P4"] == names(await viewer.get("/projects", params={"id[in]": form, "sort": "name"}))


async def test_values_are_those_of_each_request(viewer: Api) -> None:
    """A filter with other values than before finds what those are of."""
    items = (await viewer.get("/projects", params={"sort": "name"})).json()["items"]
    for chosen in (items[:2], items[2:4]):
        for query in (
            {"id[in]": ",".join(item["id"] for item in chosen)},
            {"created_at[gte]": chosen[0]["created_at"], "created_at[lte]": chosen[1]["created_at"]},
        ):
            assert chosen == (await viewer.get("/projects", params=query | {"sort": "name"})).json()["items"]


@pytest.mark.parametrize("sort", ["name", "-created_at"])
async def test_links_lead_there_and_back(viewer: Api, sort: str) -> None:
    """`next` leads to the end of the list, `prev` back over the same pages, and `first` to where it begins."""
    page: httpx.Response | None = await viewer.get("/projects", params={"limit": 3, "sort": sort})
    there, back = [], []
    last = page
    while page is not None:
        there.append(names(page))
        last, page = page, await follow(viewer, page, "next")
    while last is not None:
        back.append(names(last))
        first, last = last, await follow(viewer, last, "prev")

    assert [3, 3, 1] == [len(each) for each in there]
    assert list(reversed(there)) == back
    assert {"first", "next"} == first.links.keys()
    again = await follow(viewer, first, "first")
    assert again is not None
    assert there[0] == names(again)


async def test_links_keep_the_question(viewer: Api) -> None:
    """A link repeats filter, sort and size; `next_cursor` and the link of that name are the same cursor."""
    query = {"limit": "2", "sort": "name", "name[contains]": "p", "created_at[lt]": "2026-01-04T00:00:00+00:00"}
    page = await viewer.get("/projects", params=query)
    link = httpx.URL(page.links["next"]["url"])

    assert query | {"cursor": page.json()["next_cursor"]} == dict(link.params)
    assert ["P2"] == names(await viewer.get(str(link).removeprefix(API_PREFIX)))


async def test_size_may_change_between_pages(viewer: Api) -> None:
    """A cursor is good for pages of any size, with a total or without."""
    first = await viewer.get("/projects", params={"limit": 2})
    query = {"limit": 4, "include_total": True, "cursor": first.json()["next_cursor"]}

    assert ["P4", "P3", "P2", "P1"] == names(await viewer.get("/projects", params=query))


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("apollo", "Apollo Gemini"),
        ("MOON", "Apollo Mercury"),
        ("moon apollo", "Apollo"),
        ("apo mo", "Apollo"),
        ("ollo", ""),
        ("moon & !apollo", "Apollo"),
        ("'moon':*", "Apollo Mercury"),
        ("über", "Gemini"),
        ("100%", "Mercury"),
        ("%", ""),
        ("!|&", ""),
    ],
)
async def test_search(api: Api, acme: TenantHandle, search: str, found: str) -> None:
    """It finds the beginnings of words in names and descriptions, all of them; no sign in it is an operator."""
    await acme.has(ProjectFactory, name="Apollo", description="To the Moon")
    await acme.has(ProjectFactory, name="Gemini", description="Über allem: before Apollo")
    await acme.has(ProjectFactory, name="Mercury", description="100 % of the moons")

    page = await api.as_(acme.viewer).get("/projects", params={"search": search, "sort": "name"})

    assert found.split() == names(page)


async def test_search_follows_changes(api: Api, acme: TenantHandle) -> None:
    """What a project is renamed to is found at once, and what it was called is not."""
    member = api.as_(acme.member)
    project = (await member.post("/projects", json={"name": "Apollo"})).json()
    await member.patch(f"/projects/{project['id']}", json={"name": "Gemini"})

    assert [] == names(await member.get("/projects", params={"search": "apollo"}))
    assert ["Gemini"] == names(await member.get("/projects", params={"search": "gemini"}))


async def test_unknown_parameter_is_told_what_there_is(viewer: Api) -> None:
    """Whoever misspells a parameter is told its name and which ones the list has."""
    response = await viewer.get("/projects", params={"nmae": "x", "limit": 3})
    errors: list[dict[str, Any]] = response.json()["errors"]

    assert problem(400, "unknown_parameter") == response
    assert ["nmae"] == [error["parameter"] for error in errors]
    assert "name[contains]" in response.json()["detail"]
