"""Endpoints are called without Litestar's layers, and answer as they would with them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import wraps
from ipaddress import IPv4Address
from typing import Annotated, Any
from uuid import UUID

import httpx
import msgspec
import pytest
from litestar import Litestar, MediaType, Response, get, post
from litestar.background_tasks import BackgroundTask
from litestar.datastructures import Cookie, ResponseHeader
from litestar.di import Provide
from litestar.exceptions import ValidationException
from litestar.params import Body
from litestar.routes import HTTPRoute
from litestar.types import Receive, Scope, Send

from features.projects.tests.factories import ProjectFactory
from tenantry.http.directory import Directory
from tenantry.http.endpoint import Endpoint, endpoints_of
from tenantry.http.headers import OutermostLayer
from tenantry.http.request import ApiRequest
from tenantry.http.ways import ShortWay
from tenantry.ids import new_id
from tenantry.inject import InjectPlugin, in_order, maker_of, provider
from tenantry.testing import Api, TenantHandle

JSON = {"Content-Type": "application/json"}
BODY = {"name": "Apollo", "description": "To the moon"}
ID = "{id}"
"""Of a project that is there."""


class Thing(msgspec.Struct):
    id: UUID
    at: datetime
    address: IPv4Address
    name: str = "Käse ✓"


THING = Thing(UUID(int=7), datetime(2027, 1, 1, tzinfo=UTC), IPv4Address("192.0.2.1"))


async def nothing() -> None:
    """A background task."""


@asynccontextmanager
async def client_of(app: Any) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://testserver") as client:
        yield client


def called(app: Litestar, endpoint: Endpoint) -> Any:
    """An application that calls the endpoint and nothing else."""

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        scope["litestar_app"], scope["path_params"], scope["route_handler"] = app, {}, endpoint.handler
        scope["state"] = {}
        await (await endpoint.answer(scope, receive, send))(scope, receive, send)

    return application


@pytest.mark.parametrize("value", [THING, [THING], {"thing": THING}, "text", None, 5, b"bytes"], ids=repr)
@pytest.mark.parametrize(
    ("options", "is_endpoint"),
    [
        ({}, True),
        ({"status_code": 202}, True),
        ({"media_type": MediaType.JSON}, True),
        ({"type_encoders": {IPv4Address: lambda address: f"<{address}>"}}, True),
        ({"media_type": MediaType.MESSAGEPACK}, False),
        ({"media_type": "application/vnd.thing+json"}, False),
        ({"response_headers": [ResponseHeader(name="x-more", value="1")]}, False),
        ({"response_cookies": [Cookie("crumb", "1")]}, False),
        ({"background": BackgroundTask(nothing)}, False),
        ({"cache": True}, False),
        ({"guards": [lambda *_: None]}, False),
        ({"middleware": [lambda app: app]}, False),
        ({"before_request": lambda _: None}, False),
        ({"after_response": lambda _: None}, False),
        ({"exception_handlers": {ValueError: lambda *_: Response("")}}, False),
    ],
    ids=lambda options: "".join(options) or "plain" if isinstance(options, dict) else "",
)
async def test_endpoint_answers_like_litestar(value: Any, options: dict[str, Any], is_endpoint: bool) -> None:
    """A handler that gives a Struct and asks for nothing else is an endpoint, and its whole answer stays the same."""

    async def handler() -> Any:
        return value

    handler.__annotations__["return"] = type(value)  # Litestar goes by it
    app = Litestar([get("/", **options)(handler)], plugins=[InjectPlugin()], openapi_config=None)
    route = next(route for route in app.routes if isinstance(route, HTTPRoute))
    endpoint = endpoints_of(route, app).get("GET")

    assert (endpoint is not None) == (is_endpoint and value is THING)
    if endpoint is None:
        return
    async with client_of(app) as litestar, client_of(called(app, endpoint)) as short:
        expected, actual = await litestar.get("/"), await short.get("/")

    assert expected.status_code == actual.status_code
    assert expected.headers.multi_items() == actual.headers.multi_items()
    assert expected.content == actual.content


@pytest.mark.parametrize(
    ("method", "path", "options"),
    [
        ("GET", f"/projects/{ID}", {}),
        ("GET", f"/projects/{ID}/", {}),
        ("GET", f"//api/v1//projects/{ID}", {}),
        ("GET", f"/projects/{ID}?limit=7", {}),
        ("GET", f"/projects/{UUID(int=1)}", {}),
        ("GET", "/projects/{id:upper}", {}),
        ("GET", "/projects/{id:hex}", {}),
        ("GET", "/projects/%7B{id}%7D", {}),
        ("GET", "/projects/not-an-id", {}),
        ("GET", "/projects/bulk", {}),
        ("DELETE", "/projects/bulk", {}),
        ("GET", "/projects/", {}),
        ("GET", f"/projects/{ID}/{ID}", {}),
        ("POST", f"/projects/{ID}/archive", {}),
        ("POST", f"/projects/{ID}/archive/", {}),
        ("POST", "/projects//archive", {}),
        ("GET", "/auth", {}),
        ("GET", "/", {}),
        ("GET", f"/projects/{ID}/archive", {}),
        ("GET", f"/projects/{ID}", {"headers": {"Host": "a b"}}),
        ("GET", f"/projects/{ID}", {"headers": {"Authorization": "Basic YTpi"}}),
        ("GET", f"/projects/{ID}", {"headers": {"Authorization": "bearer"}}),
        ("GET", f"/projects/{ID}", {"headers": {"Authorization": "Bearer x.y.z"}}),
        ("HEAD", f"/projects/{ID}", {}),
        ("OPTIONS", f"/projects/{ID}", {}),
        ("PUT", f"/projects/{ID}", {}),
        ("GET", "/projects?limit=1&include_total=true", {}),
        ("GET", "/projects?limit=0", {}),
        ("GET", "/projects?limit=x&archived=maybe", {}),
        ("GET", "/projects?cursor=x", {}),
        ("GET", "/projects?sort=secret", {}),
        ("GET", "/projects", {"headers": {"Accept": "text/html"}}),
        ("POST", "/projects", {"json": BODY, "headers": {"Accept": "text/html"}}),
        ("POST", "/projects", {"content": b'{"name": "a", "name": "b"}', "headers": JSON}),
        ("POST", "/projects/bulk", {"json": {"items": [{"name": ""}]}}),
        ("POST", "/projects/bulk/delete", {"json": {"ids": [str(UUID(int=1))]}}),
        ("POST", "/projects", {"json": {}}),
        ("POST", "/projects", {"json": {"name": 1, "more": 2}}),
        ("POST", "/projects", {"content": b"{", "headers": JSON}),
        ("POST", "/projects", {"content": b"", "headers": JSON}),
        ("POST", "/projects", {"json": BODY, "headers": {"Content-Type": "text/plain"}}),
        ("POST", "/projects", {"json": BODY, "headers": {"Content-Type": "APPLICATION/JSON; charset=utf-8"}}),
        ("POST", "/projects", {"content": b" " * 5_000_000, "headers": JSON}),
        ("PATCH", f"/projects/{ID}", {"json": {"name": None}}),
        ("PATCH", f"/projects/{ID}", {"json": {"description": "x"}}),
        ("DELETE", f"/projects/{UUID(int=1)}", {}),
        ("GET", "/tenants/current", {}),
        ("GET", "/me", {}),
        ("POST", "/auth/login", {"json": {"email": "nobody@example.com", "password": "x" * 20}}),
        ("GET", "//health/live", {}),
        ("GET", "/nowhere", {}),
    ],
)
async def test_ways_give_the_same_answer(
    app: Litestar, api: Api, acme: TenantHandle, monkeypatch: pytest.MonkeyPatch, method: str, path: str, options: Any
) -> None:
    """Right or wrong, a request is answered alike where its route is an endpoint and where Litestar calls it."""
    project = await acme.has(ProjectFactory)
    path = path.replace("{id:upper}", str(project.id).upper()).replace("{id:hex}", project.id.hex)
    ways = []
    for directory in (None, Directory([])):
        if directory is not None:
            monkeypatch.setattr(short_way_of(app), "_directory", directory)
        given = {"json": BODY | {"name": str(new_id())}} if options.get("json") == BODY else {}
        answer = await api.as_(acme.owner).request(method, path.replace(ID, str(project.id)), **options | given)
        ways.append(comparable(answer))
    short, litestars = ways

    assert litestars == short


async def test_bounds_of_a_body_hold() -> None:
    """What `Body(…)` says of a body holds for an endpoint, too, although its type does not know it."""

    async def handler(data: Annotated[list[int], Body(max_items=2)]) -> Thing:
        return THING

    app = Litestar([post("/")(handler)], plugins=[InjectPlugin()], openapi_config=None, request_class=ApiRequest)
    route = next(route for route in app.routes if isinstance(route, HTTPRoute))
    async with client_of(called(app, endpoints_of(route, app)["POST"])) as client:
        assert (await client.post("/", json=[1, 2])).status_code == 201
        with pytest.raises(ValidationException):
            await client.post("/", json=[1, 2, 3])


async def test_decorated_handlers_are_called_by_name() -> None:
    """A handler in a decorator's wrapper, which takes what it takes by name alone, is called as Litestar calls it."""

    async def plain(first: int, second: int) -> None: ...

    @wraps(plain)
    async def wrapped(**given: int) -> dict[str, int]:
        return given

    assert {"first": 1, "second": 2} == await in_order(wrapped, ("first", "second"))(1, 2)


async def test_wrappers_of_providers_are_called() -> None:
    """What surrounds the function that makes a dependency is not passed by."""
    made = provider(Thing)

    @wraps(made)
    def around(**given: Any) -> Any:
        return "around", made(**given)

    assert maker_of(Provide(made, sync_to_thread=False)) is Thing
    assert maker_of(Provide(around, sync_to_thread=False)) is not Thing


def short_way_of(app: Litestar) -> ShortWay:
    outermost: Any = app.asgi_handler
    assert isinstance(outermost, OutermostLayer)
    assert isinstance(outermost.app, ShortWay)
    return outermost.app


def comparable(answer: httpx.Response) -> tuple[int, list[tuple[str, str]], str]:
    """All but what is new in every answer, the request's id and the moment of a change, and the tags of endpoints."""
    identifier = answer.headers.pop("x-request-id")
    text = answer.text.replace(identifier, "")
    if answer.headers.get("content-type") == "application/json" and text:
        document = answer.json()
        for name in ("id", "created_at", "updated_at", "name"):
            document.pop(name, None)
        text = msgspec.json.encode(document).decode()
    headers = answer.headers.multi_items()
    return answer.status_code, [(n, v) for n, v in headers if n != "etag" and (n != "content-length" or not text)], text


@pytest.mark.parametrize("spelling", ["/projects/{id}/", "//api/v1//projects/{id}"])
async def test_endpoint_has_one_way(api: Api, acme: TenantHandle, spelling: str) -> None:
    """However Litestar lets its path be spelled, an endpoint is answered as one: with the tag of what it shows."""
    path = spelling.format(id=(await acme.has(ProjectFactory)).id)

    answer = await api.as_(acme.viewer).get(path)
    known = await api.as_(acme.viewer).get(path, headers={"If-None-Match": answer.headers["etag"]})

    assert (200, 304) == (answer.status_code, known.status_code)


async def test_routes_of_slices_are_endpoints(app: Litestar) -> None:
    """Every route of projects goes the short way; one that makes its own response does not."""
    routes = {route.path: endpoints_of(route, app) for route in app.routes if isinstance(route, HTTPRoute)}
    projects = {path: sorted(found) for path, found in routes.items() if path.startswith("/api/v1/projects")}

    assert {
        "/api/v1/projects": ["GET", "POST"],
        "/api/v1/projects/bulk": ["POST"],
        "/api/v1/projects/bulk/delete": ["POST"],
        "/api/v1/projects/{project_id:uuid}": ["DELETE", "GET", "PATCH"],
        "/api/v1/projects/{project_id:uuid}/archive": ["POST"],
        "/api/v1/projects/{project_id:uuid}/restore": ["POST"],
    } == projects
    assert {} == routes["/metrics"] == routes["/docs"] == routes["/health/ready"]
