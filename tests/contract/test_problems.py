"""Errors of every kind look the same to a client, name every fault, and tell nothing of the inside."""

import sys
from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgspec
import pytest
from litestar import Litestar

from tenantry.app import create_app
from tenantry.config import Settings
from tenantry.errors import Unprocessable
from tenantry.http.reply import SECURITY_HEADERS
from tenantry.http.request import decode_body
from tenantry.testing import Api, TenantHandle, asgi_client, problem

MEMBERS = {"type", "title", "status", "detail", "instance", "code", "request_id"}
JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
MEGABYTE = 1024 * 1024
PLUGIN = """
from litestar import Controller, get
from tenantry.feature import Feature
from tenantry.http.policy import public

class BrokenController(Controller):
    path = "/broken"

    @get(opt=public("planted"))
    async def broken(self) -> None:
        raise RuntimeError("password=hunter2")

feature = Feature("broken", controllers=[BrokenController])
"""


@pytest.fixture
async def broken(
    app: Litestar, settings: Settings, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Api]:
    """A client of an application whose only route fails; `app` is asked for so that lifespans nest."""
    folder = tmp_path_factory.mktemp("planted")
    (folder / "planted_broken" / "broken").mkdir(parents=True)
    for module, text in (("__init__", ""), ("broken/__init__", ""), ("broken/plugin", PLUGIN)):
        (folder / "planted_broken" / f"{module}.py").write_text(text)
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
    planted = create_app(settings, features="planted_broken")
    async with planted.lifespan(), asgi_client(planted) as client:
        yield Api(client)


async def chunks(size: int) -> AsyncIterator[bytes]:
    """A body whose length no header tells."""
    for _ in range(0, size, 64 * 1024):
        yield b" " * 64 * 1024


def well_formed(response: httpx.Response) -> bool:
    """A whole problem, with its request's id, and under all security headers."""
    found = response.json()
    headers = {name.lower(): value for name, value in SECURITY_HEADERS.items()}
    return (
        MEMBERS <= found.keys() <= MEMBERS | {"errors", "permission", "error", "error_description"}
        and response.headers["content-type"] == "application/problem+json"
        and found["request_id"] == response.headers["x-request-id"]
        and found["type"] == f"urn:tenantry:problem:{found['code']}"
        and found["instance"] == f"urn:tenantry:request:{found['request_id']}"
        and all(isinstance(found[name], str) and found[name] for name in MEMBERS - {"status"})
        and headers.items() <= dict(response.headers).items()
        and "server" not in response.headers
    )


@pytest.mark.parametrize(
    ("method", "path", "options", "status", "code"),
    [
        ("GET", "/nowhere", {}, 404, "route_not_found"),
        ("GET", "//", {}, 404, "route_not_found"),
        ("GET", "/projects/seven", {}, 404, "route_not_found"),
        ("GET", "/projects/%00", {}, 404, "route_not_found"),
        ("GET", "/projects/01a20625-ac5f-7616-948b-a8f5d4074f7e", {}, 404, "project_not_found"),
        ("PUT", "/projects", {}, 405, "method_not_allowed"),
        ("BREW", "/projects", {}, 405, "method_not_allowed"),
        ("POST", "/projects", {"content": b" " * (MEGABYTE + 1), "headers": JSON}, 413, "body_too_large"),
        ("POST", "/projects", {"content": chunks(MEGABYTE + 1), "headers": JSON}, 413, "body_too_large"),
        ("POST", "/projects", {"content": b'{"name":"x"}'}, 415, "unsupported_media_type"),
        ("POST", "/projects", {"data": {"name": "x"}}, 415, "unsupported_media_type"),
        ("POST", "/auth/token", {"json": {"grant_type": "password"}}, 415, "unsupported_media_type"),
        ("POST", "/auth/token", {"data": {"grant_type": "none"}}, 422, "validation_failed"),
        ("POST", "/auth/token", {"content": b"\xff=%ff&%00&;", "headers": FORM}, 422, "validation_failed"),
        ("POST", "/projects", {"json": {"name": "nul \0"}}, 422, "unacceptable_value"),
        ("GET", "/projects?name=%00", {}, 422, "unacceptable_value"),
        ("GET", "/projects?cursor=AAAA", {}, 400, "invalid_cursor"),
        ("GET", "/projects?sort=tenant_id", {}, 400, "invalid_sort"),
        ("POST", "/auth/login", {"json": {"email": "a", "password": "b"}}, 401, "invalid_credentials"),
    ],
)
async def test_every_error_is_a_problem(
    api: Api, acme: TenantHandle, method: str, path: str, options: dict[str, Any], status: int, code: str
) -> None:
    """Whatever is wrong with a request, the answer is one complete problem document."""
    response = await api.as_(acme.owner).request(method, path, **options)

    assert problem(status, code) == response
    assert well_formed(response)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"name": NaN}',
        b'{"name": "Apollo"} {}',
        b'{"name": "\xff"}',
        b'{"name": "\\ud800"}',
        '{"name": "Apollo"}'.encode("utf-16"),
        b"[" * 100_000,
        b'{"name":' * 100_000,
        b'{"name": "Apollo", "description": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'"a string" and more',
    ],
    ids=lambda body: body[:20],
)
async def test_what_is_no_json_is_malformed(api: Api, acme: TenantHandle, body: bytes) -> None:
    """What is not JSON, not UTF-8 or nested beyond reason is 400 malformed_body, also where its start is wrong too."""
    response = await api.as_(acme.owner).post("/projects", content=body, headers=JSON)

    assert problem(400, "malformed_body") == response
    assert well_formed(response)


async def test_every_wrong_field_is_named_at_once(api: Api, acme: TenantHandle) -> None:
    """One answer points at what is missing, of a wrong type, too long and unknown."""
    first = await api.as_(acme.owner).post("/projects", json={"description": 7, "tenant_id": 1, "a/b~c": None})
    second = await api.as_(acme.owner).post("/projects", json={"name": "x" * 201, "description": "y" * 10_001})

    assert (
        problem(
            422,
            "validation_failed",
            errors=[
                {"detail": "Missing.", "pointer": "/name"},
                {"detail": "Expected `str`, got `int`.", "pointer": "/description"},
                {"detail": "There is no such field.", "pointer": "/a~1b~0c"},
                {"detail": "There is no such field.", "pointer": "/tenant_id"},
            ],
        )
        == first
    )
    assert (
        problem(
            422,
            "validation_failed",
            errors=[
                {"detail": "Expected `str` of length <= 200.", "pointer": "/name"},
                {"detail": "Expected `str` of length <= 10000.", "pointer": "/description"},
            ],
        )
        == second
    )


class Line(msgspec.Struct, forbid_unknown_fields=True):
    amount: int
    note: str = ""


class Order(msgspec.Struct, forbid_unknown_fields=True):
    main: Line
    others: list[Line]


def test_faults_inside_of_structs_are_named() -> None:
    """Pointers reach into nested Structs, all faults of each, and into the items of lists."""
    body = msgspec.json.encode({"main": {"note": 1, "x": 2}, "others": [{"amount": 1}, {"amount": "1"}]})

    with pytest.raises(Unprocessable) as caught:
        decode_body(body, Order)
    pointers = [error["pointer"] for error in caught.value.extensions["errors"]]
    assert ["/main/amount", "/main/note", "/main/x", "/others/1/amount"] == pointers


@pytest.mark.parametrize("body", [b'{"amount": "1"}', b'{"amount": 1.5}', b'{"amount": true}', b'{"amount": null}'])
def test_a_number_is_a_number(body: bytes) -> None:
    """A number in a string, a fraction, a boolean and null are no integer."""
    with pytest.raises(Unprocessable):
        decode_body(body, Line)


@pytest.mark.parametrize(
    ("path", "parameter"),
    [
        ("/projects?limit=0", "limit"),
        ("/projects?limit=201", "limit"),
        ("/projects?limit=many", "limit"),
        ("/projects?limit=", "limit"),
        ("/projects?limit=99999999999999999999999", "limit"),
        ("/projects?include_total=perhaps", "include_total"),
        ("/projects?archived=2", "archived"),
        (f"/projects?name={'x' * 201}", "name"),
        (f"/projects?sort={'x' * 65}", "sort"),
        (f"/projects?cursor={'x' * 2049}", "cursor"),
        ("/auth/email/verify", "token"),
    ],
)
async def test_wrong_parameter_is_named(api: Api, acme: TenantHandle, path: str, parameter: str) -> None:
    """A query parameter that is missing or not valid is 400 and named."""
    response = await api.as_(acme.owner).get(path)

    assert problem(400, "invalid_parameter") == response
    assert [parameter] == [error["parameter"] for error in response.json()["errors"]]
    assert well_formed(response)


@pytest.mark.parametrize(
    ("credential", "code"), [(None, "unauthenticated"), ("x.y.z", "invalid_token"), ("", "unauthenticated")]
)
async def test_unauthenticated_says_how(api: Api, credential: str | None, code: str) -> None:
    """401 carries WWW-Authenticate, as RFC 9110 asks for."""
    client = api if credential is None else api.bearing(credential)
    response = await client.get("/projects")

    assert problem(401, code) == response
    assert "Bearer" == response.headers["www-authenticate"]
    assert well_formed(response)


async def test_forbidden_names_the_permission(api: Api, acme: TenantHandle) -> None:
    """403 says which permission the role would need."""
    response = await api.as_(acme.viewer).post("/projects", json={"name": "Apollo"})

    assert problem(403, "permission_missing", permission="projects:write") == response
    assert well_formed(response)


async def test_fault_of_ours_tells_nothing(broken: Api) -> None:
    """500 has the same shape and headers, and not a word of the exception."""
    response = await broken.get("/broken")

    assert problem(500, "internal_error") == response
    assert well_formed(response)
    assert "hunter2" not in response.text + str(response.headers)


@pytest.mark.parametrize("method", ["PUT", "OPTIONS"])
async def test_allow_lists_the_methods(api: Api, method: str) -> None:
    """405, and OPTIONS without a credential, name all methods of the path."""
    response = await api.request(method, "/projects")

    assert {"GET", "POST", "OPTIONS"} == set(response.headers["allow"].split(", "))
    assert (405 if method == "PUT" else 204) == response.status_code
    assert SECURITY_HEADERS["Content-Security-Policy"] == response.headers["content-security-policy"]


@pytest.mark.parametrize(("path", "status"), [("/projects", 405), ("/nowhere", 404)])
async def test_head_opens_nothing(api: Api, path: str, status: int) -> None:
    """HEAD reaches no handler and has no body, so no check of GET can be stepped around with it."""
    response = await api.request("HEAD", path)

    assert (status, b"") == (response.status_code, response.content)
    assert "no-store" == response.headers["cache-control"]


@pytest.mark.parametrize("given", ["01a20625-ac5f-7616-948b-a8f5d4074f7e", "trace.of_client-7", "x" * 64])
async def test_harmless_request_id_is_kept(api: Api, given: str) -> None:
    """The caller's own request id comes back, in the header and in the problem."""
    response = await api.get("/nowhere", headers={"X-Request-ID": given})

    assert problem(404, "route_not_found", request_id=given) == response


@pytest.mark.parametrize(
    "given", [b"", b"short", b"x" * 65, b"a b c d e f", b"line\nbreak", "ümläute".encode(), b"<b>bold</b>"]
)
async def test_odd_request_id_is_replaced(api: Api, given: bytes) -> None:
    """One that is too long, or could break a line, a log or a page, is replaced by one of ours."""
    response = await api.get("/nowhere", headers={"X-Request-ID": given})

    assert problem(404, "route_not_found") == response
    assert 36 == len(response.headers["x-request-id"])
    assert well_formed(response)
