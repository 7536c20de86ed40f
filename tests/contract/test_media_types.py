"""What is sent must be of a type that the route takes, and what it gives of one that the caller takes."""

import json
from typing import Any

import httpx
import pytest

from features.projects.dtos import ProjectCreate
from features.projects.tests.factories import ProjectFactory
from features.tenants.dtos import TenantPatch
from tenantry.http.duplicates import DuplicateKey, refuse_duplicates
from tenantry.testing import Api, TenantHandle, problem

MERGE_PATCH = "application/merge-patch+json"
TAKEN = f"application/json, {MERGE_PATCH}"
BODY = json.dumps({"name": "Apollo"}).encode()
PATCHES = (
    "/api-keys/{key_id}", "/members/{user_id}", "/projects/{project_id}", "/roles/{role_id}",
    "/service-accounts/{service_account_id}", "/tenants/current",
)  # fmt: skip


@pytest.mark.parametrize("media_type", ["application/json", MERGE_PATCH, "Application/Merge-Patch+JSON; charset=UTF-8"])
async def test_merge_patch(api: Api, acme: TenantHandle, media_type: str) -> None:
    """A change may call itself by the name of what it is."""
    project = await acme.has(ProjectFactory, description="To the moon")

    response = await api.as_(acme.member).patch(
        f"/projects/{project.id}", content=BODY, headers={"Content-Type": media_type}
    )

    assert ("Apollo", "To the moon") == (response.json()["name"], response.json()["description"])


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        (b'{"name": null}', ["/name"]),
        (b'{"name": null, "description": null, "colour": null}', ["/name", "/description", "/colour"]),
        (b"null", [""]),
        (b"[]", [""]),
        (b'"x"', [""]),
    ],
)
async def test_null_where_there_must_be_a_value(api: Api, acme: TenantHandle, body: bytes, pointers: list[str]) -> None:
    """Null would take a field away, and a patch that is no object the whole project: neither is possible."""
    project = await acme.has(ProjectFactory)
    as_member = api.as_(acme.member)

    response = await as_member.patch(f"/projects/{project.id}", content=body, headers={"Content-Type": MERGE_PATCH})
    found = await as_member.get(f"/projects/{project.id}")

    assert problem(422, "validation_failed") == response
    assert pointers == [fault.get("pointer") for fault in response.json()["errors"]]
    assert project.name == found.json()["name"]


@pytest.mark.parametrize(
    "media_type",
    [
        None,
        "",
        "text/plain",
        "application/json-patch+json",
        "application/jsonx",
        "json",
        "application/json; charset=utf-16",
    ],
)
@pytest.mark.parametrize(
    ("method", "header", "taken"), [("PATCH", "accept-patch", TAKEN), ("POST", "accept-post", "application/json")]
)
async def test_wrong_type(
    api: Api, acme: TenantHandle, method: str, header: str, taken: str, media_type: str | None
) -> None:
    """Another type, another character set or none at all is 415, which says what would be taken."""
    project = await acme.has(ProjectFactory)
    path = f"/projects/{project.id}" if method == "PATCH" else "/projects"
    headers = {} if media_type is None else {"Content-Type": media_type}

    response = await api.as_(acme.member).request(method, path, content=BODY, headers=headers)

    assert problem(415, "unsupported_media_type") == response
    assert taken == response.headers[header]


async def test_merge_patch_creates_nothing(api: Api, acme: TenantHandle) -> None:
    """A new project is no change of one."""
    response = await api.as_(acme.member).post("/projects", content=BODY, headers={"Content-Type": MERGE_PATCH})

    assert problem(415, "unsupported_media_type") == response


async def test_document_shows_both(api: Api) -> None:
    """Every PATCH takes both types, and the document shows it: one to generate a client from, the other in words."""
    paths = (await api.get("//docs/openapi.json")).json()["paths"]
    patches = {path: each["patch"]["requestBody"] for path, each in paths.items() if "patch" in each}

    assert {f"/api/v1{path}" for path in PATCHES} <= patches.keys()
    for body in patches.values():
        assert ["application/json"] == list(body["content"])
        assert MERGE_PATCH in body["description"]


@pytest.mark.parametrize(
    ("accept", "taken"),
    [
        ("*/*", True),
        ("application/json", True),
        ("text/html, application/*;q=0.1", True),
        ("text/html,*/*;q=0.8", True),
        ("APPLICATION/JSON; q=1.0", True),
        ("application/json;q=0, */*", False),
        ("application/*;q=0, */*;q=0.5", False),
        ("*/*;q=0", False),
        ("text/html", False),
        ("application/problem+json", False),
        ("json", False),
        ("", True),
    ],
)
async def test_accept(api: Api, acme: TenantHandle, accept: str, taken: bool) -> None:
    """An answer that the caller does not take is 406, as a problem for all that; the most specific range counts."""
    response = await api.as_(acme.viewer).get("/projects", headers={"Accept": accept})

    assert response.status_code == 200 if taken else problem(406, "not_acceptable") == response


async def test_accept_comes_in_several_lines(api: Api, acme: TenantHandle) -> None:
    """Two `Accept` headers are one list."""
    headers = [
        ("Accept", "text/html"),
        ("Accept", "application/json"),
        ("Authorization", f"Bearer {acme.viewer.token}"),
    ]
    response = await api.client.get("/api/v1/projects", headers=headers)

    assert 200 == response.status_code


async def test_nothing_happens_for_nothing(api: Api, acme: TenantHandle) -> None:
    """What cannot be answered is not done; what has no answer needs none to be accepted."""
    project = await acme.has(ProjectFactory, name="Apollo")
    as_member, html = api.as_(acme.member), {"Accept": "text/html"}

    refused = [
        await as_member.post("/projects", json={"name": "Gemini"}, headers=html),
        await as_member.post("/projects", json=7, headers=html),
    ]
    before = await as_member.get("/projects")
    deleted = await as_member.delete(f"/projects/{project.id}", headers=html)

    assert [problem(406, "not_acceptable")] * 2 == refused
    assert ["Apollo"] == [each["name"] for each in before.json()["items"]]
    assert 204 == deleted.status_code


@pytest.mark.parametrize(
    ("method", "path", "accept", "status"),
    [
        ("GET", "/tenants/current/export", "application/json", 406),
        ("GET", "//metrics", "application/json", 406),
        ("GET", "//metrics", "text/plain", 200),
        ("GET", "//health/live", "text/html", 200),
        ("GET", "//docs", "text/html", 200),
        ("GET", "//docs/openapi.json", "application/json", 200),
        ("OPTIONS", "/projects", "text/html", 204),
    ],
)
async def test_other_types(api: Api, acme: TenantHandle, method: str, path: str, accept: str, status: int) -> None:
    """Each route knows what it gives; probes and pages answer whoever asks."""
    response = await api.as_(acme.owner).request(method, path, headers={"Accept": accept})

    assert status == response.status_code


async def test_refusal_comes_first(api: Api, acme: TenantHandle) -> None:
    """Whoever may not come learns nothing of what would be wrong otherwise."""
    html = {"Accept": "text/html"}

    assert problem(401, "unauthenticated") == await api.get("/projects", headers=html)
    assert problem(403, "permission_missing") == await api.as_(acme.viewer).post("/projects", json={}, headers=html)


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ('{"name": "a", "name": "b"}', ["/name"]),
        ('{"name": "a", "n\\u0061me": "b"}', ["/name"]),
        ('{"name": "a", "name": 7}', ["/name"]),
        ('{"name": "a", "colour": 1, "colour": 2}', ["/colour"]),
        ('{"name": "a", "description": {"x": 1, "x": 2}}', ["/description/x"]),
        ('{"name": "a", "description": [{}, {"a/b~": 1, "a/b~": 2}]}', ["/description/1/a~1b~0"]),
        ('{"name": "a", "description": "", "name": "b", "description": ""}', ["/name", "/description"]),
    ],
)
async def test_same_key_twice(api: Api, acme: TenantHandle, body: str, pointers: list[str]) -> None:
    """An object with the same key twice is refused, however it is written and wherever it stands."""
    response = await api.as_(acme.member).post(
        "/projects", content=body.encode(), headers={"Content-Type": "application/json"}
    )

    assert problem(400, "duplicate_key") == response
    assert pointers == [fault["pointer"] for fault in response.json()["errors"]]


@pytest.mark.parametrize(
    "body",
    [
        {"name": "name", "description": '"name": "name"'},
        {"name": "name", "description": "name"},
        {"name": "a: b: c", "description": "\\"},
    ],
)
async def test_key_as_a_value(api: Api, acme: TenantHandle, body: dict[str, str]) -> None:
    """What looks like a key in a text is none."""
    response = await api.as_(acme.member).post("/projects", json=body)

    assert 201 == response.status_code


async def test_nested_key_twice(api: Api, acme: TenantHandle) -> None:
    """The same key in two objects is none twice; in an inner one it is found as well."""
    good: Any = {"name": "New", "settings": {"tenants": {"locale": "de"}}}
    bad = b'{"settings": {"tenants": {"locale": "de", "locale": "fr"}}}'
    answers: list[httpx.Response] = [
        await api.as_(acme.admin).patch("/tenants/current", json=good),
        await api.as_(acme.admin).patch("/tenants/current", content=bad, headers={"Content-Type": MERGE_PATCH}),
    ]

    assert 200 == answers[0].status_code
    assert (
        problem(
            400, "duplicate_key", errors=[{"detail": "Given more than once.", "pointer": "/settings/tenants/locale"}]
        )
        == answers[1]
    )


def test_many_keys_take_no_time() -> None:
    """A body of many keys, each twice, is looked through once and not once for each."""
    body = json.dumps({f"k{number}": 0 for number in range(20_000)})[:-1]
    twice = f"{body},{body[1:]}}}".encode()

    with pytest.raises(DuplicateKey) as refused:
        refuse_duplicates(twice, TenantPatch)
    assert 100 == len(refused.value.extensions["errors"])
    refuse_duplicates(b'{"name": "a"}', ProjectCreate)
