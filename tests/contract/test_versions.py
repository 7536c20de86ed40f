"""One route in a second version, and what clients are told of the first."""

from collections.abc import AsyncIterator

import msgspec
import pytest
from litestar import Litestar
from litestar.exceptions import ImproperlyConfiguredException

from tenantry.app import create_app
from tenantry.config import Settings
from tenantry.http.notices import MisleadingDeprecation
from tenantry.ids import new_id
from tenantry.security.permissions import Role
from tenantry.testing import Api, TenantHandle, problem
from tests.faults.planted import Served, package_of, planted_slice, serving
from tests.isolation.operations import Contract

PACKAGE = "planted_versions"
HEAD = """
from datetime import date, timedelta
from typing import Any
from uuid import UUID

import msgspec
from litestar import Controller, Response, get, post
from litestar.params import FromPath, JSONBody

from features.projects.permissions import READ, WRITE
from tenantry.errors import Conflict
from tenantry.feature import Feature
from tenantry.http.deprecation import Deprecated
from tenantry.http.policy import allow, public, signed_in
from tenantry.limits.rate import Rate
"""
PLUGIN = (
    HEAD
    + """
HOURLY = Rate(2, timedelta(hours=1))
OLD = Deprecated(
    since=date(2026, 1, 1),
    sunset=date(2026, 7, 1),
    successor="/api/v2/things/{thing_id}",
    details="https://docs.example.com/things",
)

class Thing(msgspec.Struct):
    name: str

class ThingV2(msgspec.Struct):
    title: str

class ThingIn(msgspec.Struct, forbid_unknown_fields=True):
    name: str

class ThingController(Controller):
    path = "/things"

    @get("/{thing_id:uuid}", opt=allow(READ, deprecated=OLD), summary="Get a thing")
    async def show(self, thing_id: FromPath[UUID]) -> Thing:
        "Its name."
        return Thing("thing")

    @post("/{thing_id:uuid}", opt=allow(WRITE), summary="Make a thing")
    async def make(self, thing_id: FromPath[UUID], data: JSONBody[ThingIn]) -> Thing:
        return Thing("thing")

    @get("/{thing_id:uuid}/plain", opt=allow(READ, deprecated=OLD), summary="Text")
    async def long(self, thing_id: FromPath[UUID]) -> Response[bytes]:
        return Response(b"thing", media_type="text/plain")

    @post("/{thing_id:uuid}/broken", opt=allow(WRITE, deprecated=OLD), summary="Break")
    async def broken(self, thing_id: FromPath[UUID], data: JSONBody[ThingIn]) -> Thing:
        raise Conflict

    @get("/limited", opt=public("a test", rate=HOURLY, deprecated=Deprecated(date(2027, 1, 1))), status_code=204)
    async def limited(self) -> None: ...

    @get("/counted", opt=public("a test", rate=HOURLY), status_code=204)
    async def counted(self) -> None: ...

class ThingControllerV2(Controller):
    path = "/things"

    @get("/counted", opt=public("a test", rate=HOURLY), status_code=204)
    async def counted(self) -> None: ...

    @get("/{thing_id:uuid}", opt=allow(READ, rate=HOURLY), summary="Get a thing")
    async def show(self, thing_id: FromPath[UUID]) -> ThingV2:
        return ThingV2("thing")

    @post("/{thing_id:uuid}", opt=signed_in(fresh_auth=True), summary="Make a thing")
    async def make(self, thing_id: FromPath[UUID]) -> ThingV2:
        return ThingV2("thing")

feature = Feature("planted", controllers=[ThingController], versions={2: [ThingControllerV2]})
"""
)
SINCE, SUNSET = "@1767225600", "Wed, 01 Jul 2026 00:00:00 GMT"


package = package_of(PACKAGE, PLUGIN)


@pytest.fixture
async def served(app: Litestar, settings: Settings, package: str) -> AsyncIterator[Served]:
    async with serving(settings, features=package) as served:
        yield served


@pytest.fixture
async def tenant(served: Served) -> TenantHandle:
    return await served.world.tenant("acme")


async def test_two_versions_of_one_route(served: Served, tenant: TenantHandle) -> None:
    """Each answers in its own way, under a policy of its own; a route that has one version has no other."""
    viewer, stranger = served.api.as_(tenant.viewer), served.api
    one, two = f"/things/{new_id()}", f"//api/v2/things/{new_id()}"
    refused, without_permission = await stranger.get(two), await viewer.post(one, json={"name": "a"})

    assert [{"name": "thing"}, {"title": "thing"}] == [(await viewer.get(path)).json() for path in (one, two)]
    assert problem(401, "unauthenticated") == refused
    assert problem(403, "permission_missing") == without_permission
    assert problem(404, "route_not_found") == await viewer.get(f"{two}/plain")
    assert problem(404, "route_not_found") == await viewer.get("//api/v2/projects")


async def test_policy_holds_for_a_second_version(api: Api, served: Served, tenant: TenantHandle) -> None:
    """Its permission, the proof that it asks for, its rate and its metrics are its own."""
    account = await tenant.service_account(Role.viewer)
    key = served.api.bearing((await tenant.key(account, ["projects:write"])).text)
    two = f"//api/v2/things/{new_id()}"
    viewer = served.api.as_(tenant.viewer)
    principal = msgspec.structs.replace(served.world.tokens.verify(tenant.owner.token.encode()), authenticated_at=None)
    stale = served.api.bearing(served.world.tokens.issue(principal))
    allowed = [await viewer.get(two) for _ in range(3)]
    metrics = (await api.get("//metrics")).text

    assert problem(403, "scope_missing", permission="projects:read") == await key.get(two)
    assert problem(401, "fresh_auth_required") == await stale.post(two)
    assert [200, 200, 429] == [each.status_code for each in allowed]
    assert 'route="/api/v2/things/{thing_id}"' in metrics


async def test_versions_count_together(served: Served) -> None:
    """Who has used up the rate of a route has used up that of its other version."""
    answers = [await served.api.get(path) for path in ("/things/counted", "/things/counted", "//api/v2/things/counted")]

    assert [204, 204, 429] == [each.status_code for each in answers]


async def test_every_answer_tells_of_the_end(served: Served, tenant: TenantHandle) -> None:
    """Right or wrong, by whichever way: since when, until when, what to use instead, and where more is said."""
    id = new_id()
    viewer, editor = served.api.as_(tenant.viewer), served.api.as_(tenant.owner)
    answers = [
        await viewer.get(f"/things/{id}"),
        await viewer.get(f"//api/v1//things/{id}/"),
        await viewer.get(f"/things/{id}", headers={"Accept": "text/html"}),
        await served.api.get(f"/things/{id}"),
        await viewer.get(f"/things/{id}/plain"),
        await served.api.get(f"/things/{id}/plain"),
        await editor.post(f"/things/{id}/broken", json={"name": "a"}),
        await editor.post(f"/things/{id}/broken", json={}),
        await viewer.post(f"/things/{id}/broken", json={"name": "a"}),
    ]
    links = f'<https://docs.example.com/things>; rel="deprecation", </api/v2/things/{id}>; rel="successor-version"'

    assert [200, 200, 406, 401, 200, 401, 409, 422, 403] == [each.status_code for each in answers]
    assert {(SINCE, SUNSET, links)} == {
        tuple(each.headers.get(name) for name in ("deprecation", "sunset", "link")) for each in answers
    }


async def test_only_what_is_declared_is_told(served: Served, tenant: TenantHandle) -> None:
    """Other methods and routes tell of no end; a deprecation without more is only that, also where it is refused."""
    viewer, id = served.api.as_(tenant.viewer), new_id()
    bare = [await served.api.get("/things/limited") for _ in range(3)]
    others = [
        await served.api.as_(tenant.owner).post(f"/things/{id}", json={"name": "a"}),
        await viewer.request("OPTIONS", f"/things/{id}"),
        await viewer.request("PUT", f"/things/{id}"),
        await viewer.get(f"//api/v2/things/{id}"),
        await viewer.get("/projects"),
        await viewer.get("/nowhere"),
    ]

    assert [204, 204, 429] == [each.status_code for each in bare]
    assert [("@1798761600", None, None)] * 3 == [
        tuple(each.headers.get(name) for name in ("deprecation", "sunset", "link")) for each in bare
    ]
    assert [201, 204, 405, 200, 200, 404] == [each.status_code for each in others]
    assert not any(name in each.headers for each in others for name in ("deprecation", "sunset"))


async def test_document_tells_of_the_end(served: Served) -> None:
    """Deprecated operations say so, with the headers of each of their answers; ids of versions do not clash."""
    contract = Contract(served.app)
    by_id = {each.document["operationId"]: each.document for each in contract.operations if each.document}
    old, new = by_id["things.show"], by_id["things.show_v2"]

    assert {"things.show", "things.show_v2", "things.make", "things.make_v2"} <= by_id.keys()
    assert (True, False) == (old["deprecated"], new["deprecated"])
    assert "Deprecated since 2026-01-01, and may end on 2026-07-01." in old["description"]
    for response in old["responses"].values():
        shown = {name: each["example"] for name, each in response["headers"].items() if name != "ETag"}
        assert {"Deprecation": SINCE, "Sunset": SUNSET} == {name: shown[name] for name in ("Deprecation", "Sunset")}
        assert "/api/v2/things/{thing_id}" in shown["Link"]
    assert "headers" not in new["responses"]["401"]


MISLEADING = {
    "before": ("sunset=date(2025, 1, 1)", "its sunset 2025-01-01 is before its deprecation 2026-01-01"),
    "nowhere": ('successor="/api/v2/nowhere"', "there is no other route /api/v2/nowhere"),
    "itself": ('successor="/api/v1/things"', "there is no other route /api/v1/things"),
    "unknown": ('successor="/api/v1/projects/{project_id}"', "it has no project_id"),
    "header": ('details="https://a/\\\\r\\\\nX-More: 1"', "is no address"),
    "insecure": ('details="http://docs.example.com"', "is no address"),
}


@pytest.mark.parametrize(("words", "message"), MISLEADING.values(), ids=MISLEADING)
async def test_misleading_deprecation_does_not_boot(
    app: Litestar, settings: Settings, tmp_path, words: str, message: str
) -> None:
    """The message names the route, and what clients could make no sense of."""
    plugin = f"""{HEAD}
class ThingController(Controller):
    path = "/things"

    @get("/", opt=public("a test", deprecated=Deprecated(date(2026, 1, 1), {words})), status_code=204)
    async def get(self) -> None: ...

feature = Feature("planted", controllers=[ThingController])
"""
    package = f"planted_misleading_{abs(hash(words))}"
    with planted_slice(tmp_path, package, plugin), pytest.RaisesGroup(MisleadingDeprecation) as refused:
        async with serving(settings, features=package):
            pass

    told = str(refused.value.exceptions[0])

    assert "GET /api/v1/things: " in told
    assert message in told


@pytest.mark.parametrize("declared", ["versions={1: []}", 'prefix="", versions={2: []}'], ids=["first", "outside"])
def test_misplaced_version_does_not_boot(settings: Settings, tmp_path, declared: str) -> None:
    """The first version is the plain declaration, and only the API has versions."""
    package = f"planted_misplaced_{len(declared)}"
    plugin = f"from tenantry.feature import Feature\nfeature = Feature('planted', controllers=[], {declared})"
    with planted_slice(tmp_path, package, plugin), pytest.raises(ImproperlyConfiguredException, match="version"):
        create_app(settings, features=package)
