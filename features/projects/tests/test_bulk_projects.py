from typing import Any

import pytest
from sqlalchemy import text

from features.projects.tests.factories import ProjectFactory
from tenantry.ids import new_id
from tenantry.testing import Api, TenantHandle, problem


async def names(api: Api) -> set[str]:
    page = await api.get("/projects", params={"limit": 200})
    return {item["name"] for item in page.json()["items"]}


def pointers(response: Any) -> list[str]:
    return [fault["pointer"] for fault in response.json()["errors"]]


async def test_create_a_thousand(api: Api, acme: TenantHandle) -> None:
    """A thousand at once, answered in the order of the request, each as it is found afterwards."""
    member = api.as_(acme.member)
    items = [{"name": f"P{number}", "description": "x"} for number in range(1000)]

    response = await member.post("/projects/bulk", json={"items": items})
    created = response.json()["items"]
    found = await member.get(f"/projects/{created[17]['id']}")
    counted = await member.get("/projects", params={"limit": 1, "include_total": True})

    assert 201 == response.status_code
    assert [item["name"] for item in items] == [item["name"] for item in created]
    assert created[17] == found.json()
    assert 1000 == counted.json()["total"]


async def test_sent_again(api: Api, acme: TenantHandle) -> None:
    """Who sends the same again under the same key gets the same projects, and not that their names are taken."""
    member, key = api.as_(acme.member), {"Idempotency-Key": str(new_id())}

    answers = [await member.post("/projects/bulk", json={"items": [{"name": "a"}]}, headers=key) for _ in range(2)]

    assert [201, 201] == [answer.status_code for answer in answers]
    assert answers[0].json() == answers[1].json()


async def test_taken_names(api: Api, acme: TenantHandle) -> None:
    """Each name that is taken is told at once, also one that an earlier item has taken, and nothing is created."""
    await acme.has(ProjectFactory, name="Apollo")
    items = [{"name": name} for name in ("Gemini", "Apollo", "Mercury", "Gemini", "Vostok")]

    response = await api.as_(acme.member).post("/projects/bulk", json={"items": items})

    assert problem(409, "project_name_taken") == response
    assert ["/items/1/name", "/items/3/name"] == pointers(response)
    assert {"Apollo"} == await names(api.as_(acme.member))


@pytest.mark.parametrize(
    ("body", "places"),
    [
        ({"items": [{"name": "a"}, {"name": ""}, {"name": "b", "x": 1}, {}, 7]},
         ["/items/1/name", "/items/2/x", "/items/3/name", "/items/4"]),
        ({"items": []}, ["/items"]),
        ({"items": [{"name": f"P{number}"} for number in range(1001)]}, ["/items"]),
        ({}, ["/items"]),
        ({"items": [{"name": "a"}], "more": 1}, ["/more"]),
    ],
)  # fmt: skip
async def test_wrong_items(api: Api, acme: TenantHandle, body: Any, places: list[str]) -> None:
    """Each fault of each item is named, and nothing is created."""
    response = await api.as_(acme.member).post("/projects/bulk", json=body)

    assert problem(422, "validation_failed") == response
    assert places == pointers(response)
    assert set() == await names(api.as_(acme.member))


async def test_key_twice_in_an_item(api: Api, acme: TenantHandle) -> None:
    """A key that comes once in each item is good, twice in one item it is not."""
    body = b'{"items": [{"name": "a"}, {"name": "b", "name": "c"}]}'

    response = await api.as_(acme.member).post(
        "/projects/bulk", content=body, headers={"Content-Type": "application/json"}
    )

    assert problem(400, "duplicate_key") == response
    assert ["/items/1/name"] == pointers(response)


async def test_quota(api: Api, acme: TenantHandle) -> None:
    """The plan's limit holds for all of them together."""
    await acme.run(text("UPDATE tenants SET plan = 'free' WHERE id = :id").bindparams(id=acme.id))
    items = [{"name": f"P{number}"} for number in range(21)]
    member = api.as_(acme.member)

    refused = await member.post("/projects/bulk", json={"items": items})
    none = await names(member)
    taken = await member.post("/projects/bulk", json={"items": items[:20]})

    assert problem(402, "quota_exceeded") == refused
    assert set() == none
    assert 201 == taken.status_code


async def test_delete(api: Api, acme: TenantHandle) -> None:
    """Those that are named go, one that is named twice as well."""
    ids = [str((await acme.has(ProjectFactory, name=f"P{number}")).id) for number in range(3)]

    response = await api.as_(acme.member).post("/projects/bulk/delete", json={"ids": [ids[0], ids[2], ids[0]]})

    assert 204 == response.status_code
    assert {"P1"} == await names(api.as_(acme.member))


async def test_delete_what_is_not_there(api: Api, acme: TenantHandle, globex: TenantHandle) -> None:
    """A project of another tenant is one that never was; each is told, and nothing is deleted on either side."""
    mine, theirs = await acme.has(ProjectFactory, name="Mine"), await globex.has(ProjectFactory, name="Theirs")
    member = api.as_(acme.member)

    answers = [
        await member.post("/projects/bulk/delete", json={"ids": [str(mine.id), str(other)]})
        for other in (theirs.id, new_id())
    ]
    documents = [answer.json() for answer in answers]

    assert [problem(404, "project_not_found")] * 2 == answers
    assert [["/ids/1"]] * 2 == [pointers(answer) for answer in answers]
    assert documents[0].keys() == documents[1].keys()
    assert {"Mine"} == await names(member)
    assert {"Theirs"} == await names(api.as_(globex.member))


async def test_same_name_elsewhere(api: Api, acme: TenantHandle, globex: TenantHandle) -> None:
    """A name that another tenant has is not taken."""
    await globex.has(ProjectFactory, name="Apollo")

    response = await api.as_(acme.member).post("/projects/bulk", json={"items": [{"name": "Apollo"}]})

    assert 201 == response.status_code


@pytest.mark.parametrize(
    ("path", "body"),
    [("/projects/bulk", {"items": [{"name": "a"}]}), ("/projects/bulk/delete", {"ids": [str(new_id())]})],
)
async def test_viewers_do_neither(api: Api, acme: TenantHandle, path: str, body: Any) -> None:
    """Many at once need the permission that one needs."""
    response = await api.as_(acme.viewer).post(path, json=body)

    assert problem(403, "permission_missing", permission="projects:write") == response
