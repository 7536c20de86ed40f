"""The documentation serves itself, lets nothing in, and its document says what the routes do."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from types import NoneType, UnionType
from typing import Any, get_args, get_origin

import msgspec
import pytest
import yaml  # type: ignore[import-untyped]  # the package ships no types
from litestar import Litestar
from litestar.routes import HTTPRoute

from tenantry.http.docs_page import swagger_ui_folder
from tenantry.http.policy import Allow, Public, SignedIn, policy_of
from tenantry.http.schemas import named_struct
from tenantry.testing import Api, problem

PROBLEM = "application/problem+json"
HOSTILE = ("..%2findex.html", "%2e%2e%2f%2e%2e%2fheaders.py", "%2fetc%2fpasswd", "a/b.js")
UNKNOWN = ("nothing.js", "index.html", "VERSION", ".js", "%00.js", "..%5cstart.js", "start.js%00", "x" * 5000 + ".js")


class Page(HTMLParser):
    """Collects what the page loads, and whatever of it is inline."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.inline: list[str] = []
        self.open = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open = tag
        self.loads += [value or "" for name, value in attrs if name in ("src", "href")]
        self.inline += [name for name, _ in attrs if name == "style" or name.startswith("on")]

    def handle_endtag(self, tag: str) -> None:
        self.open = ""

    def handle_data(self, data: str) -> None:
        if self.open in ("script", "style"):
            self.inline.append(data)


Document = dict[str, Any]


@pytest.fixture
async def document(api: Api) -> Document:
    found: Document = (await api.get("//docs/openapi.json")).json()
    return found


def operations(document: Document) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield path, method, operation


def objects(value: Any) -> Iterator[dict[str, Any]]:
    """All objects at any depth."""
    if isinstance(value, dict):
        yield value
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from objects(part)


@pytest.mark.asvs("3.4.3")
async def test_page_has_nothing_inline_and_nothing_from_elsewhere(api: Api) -> None:
    """Script and style come from files of this service, and its policy allows no others."""
    response = await api.get("//docs")
    page, policy = Page(response.text), response.headers["content-security-policy"]
    answers = {path: (await api.get(f"/{path}")).status_code for path in page.loads}

    assert "text/html; charset=utf-8" == response.headers["content-type"]
    assert [] == page.inline
    assert {200} == set(answers.values())
    assert {"/docs/assets/swagger-ui-bundle.js", "/docs/assets/swagger-ui.css"} <= answers.keys()
    assert "default-src 'none'" in policy
    assert None is re.search(r"unsafe|https?:|\*", policy)


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("swagger-ui-bundle.js", "text/javascript; charset=utf-8"),
        ("start.js", "text/javascript; charset=utf-8"),
        ("swagger-ui.css", "text/css; charset=utf-8"),
        ("start.css", "text/css; charset=utf-8"),
        ("favicon-32x32.png", "image/png"),
    ],
)
async def test_asset_has_its_type_and_may_be_kept(api: Api, name: str, media_type: str) -> None:
    """Assets say what they are, and browsers keep them for an hour."""
    response = await api.get(f"//docs/assets/{name}")

    assert (200, media_type) == (response.status_code, response.headers["content-type"])
    assert "public, max-age=3600" == response.headers["cache-control"]
    assert "nosniff" == response.headers["x-content-type-options"]


@pytest.mark.parametrize("name", [*HOSTILE, *UNKNOWN], ids=range(len(HOSTILE + UNKNOWN)))
async def test_anything_else_is_not_found(api: Api, name: str) -> None:
    """A name that is no asset, or that climbs out of the folder, answers a problem like any other path."""
    response = await api.get(f"//docs/assets/{name}")

    assert problem(404, "route_not_found" if name in HOSTILE else "not_found") == response


def test_swagger_ui_is_a_current_release() -> None:
    """The release in the wheel reads OpenAPI 3.1 and is not an old one."""
    release = (swagger_ui_folder() / "VERSION").read_text().strip()

    assert (5, 30) <= tuple(int(part) for part in release.removeprefix("v").split("."))


async def test_document_is_the_same_in_both_formats(api: Api, document: Document) -> None:
    """openapi.yaml says what openapi.json says."""
    response = await api.get("//docs/openapi.yaml")

    assert document == yaml.safe_load(response.text)


async def test_document_is_whole(document: Document) -> None:
    """It is OpenAPI 3.1, each reference leads somewhere, and each parameter of a path is declared."""
    references = {each["$ref"] for each in objects(document) if "$ref" in each}
    parts = {f"#/components/{kind}/{name}" for kind, named in document["components"].items() for name in named}
    in_path = {
        (path, method): {each["name"] for each in operation.get("parameters", ()) if each["in"] == "path"}
        for path, method, operation in operations(document)
    }

    assert document["openapi"].startswith("3.1.")
    assert references <= parts
    assert {(path, method): set(re.findall(r"{(\w+)}", path)) for path, method in in_path} == in_path
    assert all(re.fullmatch(r"[A-Za-z]+", name) for name in document["components"]["schemas"])


async def test_operations_can_be_named_and_read(document: Document) -> None:
    """Ids are unique, such as `projects.create`; each operation has a summary and a slice that is described."""
    found = [operation for _, _, operation in operations(document)]
    ids = [operation["operationId"] for operation in found]
    described = {tag["name"] for tag in document["tags"] if tag["description"]}

    assert len(ids) == len(set(ids))
    assert all(re.fullmatch(r"[a-z_]+(\.[a-z_]+)+", each) for each in ids)
    assert "projects.create" in ids
    assert {tag for operation in found for tag in operation["tags"]} == described
    assert all(operation["summary"] for operation in found)


async def test_operation_says_who_may_use_it(app: Litestar, document: Document) -> None:
    """What is not public names 401, 403 and how to sign in, by API key where it has a permission, which it names.

    A cookie needs the token against forged requests beside it, but to read.
    """
    sessions: list[dict[str, list[str]]] = [{"Password": []}, {"Bearer": []}]
    cookie: dict[bool, Any] = {True: {"Cookie": []}, False: {"Cookie": [], "CsrfToken": []}}
    keys: dict[type, Any] = {SignedIn: [], Allow: [{"ApiKey": []}]}
    policies: dict[tuple[str, str], type] = {
        (route.path_format, method.lower()): type(policy_of(handler))
        for route in app.routes
        if isinstance(route, HTTPRoute)
        for handler in route.route_handlers
        for method in handler.http_methods
    }
    wrong = [
        operation["operationId"]
        for path, method, operation in operations(document)
        if operation.get("security")
        != ([] if (kind := policies[path, method]) is Public else [*sessions, cookie[method == "get"], *keys[kind]])
        or (policies[path, method] is not Public and not {"401", "403"} <= operation["responses"].keys())
    ]

    assert [] == wrong
    schemes = document["components"]["securitySchemes"]
    assert {"Password", "Bearer", "ApiKey", "Cookie", "CsrfToken"} == schemes.keys()
    assert ("cookie", "__Host-tenantry-access") == (schemes["Cookie"]["in"], schemes["Cookie"]["name"])
    assert ("header", "X-CSRF-Token") == (schemes["CsrfToken"]["in"], schemes["CsrfToken"]["name"])


async def test_every_error_is_a_problem(document: Document) -> None:
    """Each operation names problems, each with an example whose status and media type are right."""
    examples = document["components"]["examples"]
    for _, _, operation in operations(document):
        errors = {status: each for status, each in operation["responses"].items() if status[0] not in "23"}

        assert "default" in errors
        for status, response in errors.items():
            [(media_type, content)] = response["content"].items()
            if media_type == PROBLEM:
                shown = {code: examples[code]["value"] for code in content["examples"]}

                assert {"$ref": "#/components/schemas/Problem"} == content["schema"]
                assert shown
                assert all(status in ("default", str(each["status"])) for each in shown.values())
                assert {code: each["code"] for code, each in shown.items()} == {code: code for code in shown}
            assert media_type == PROBLEM or status == "503"


def demanded(annotation: Any) -> Any:
    """Of a body that can be left out, what it is where it is not."""
    options = [each for each in get_args(annotation) if each is not NoneType]
    return options[0] if get_origin(annotation) is UnionType and len(options) == 1 else annotation


def name_of(body: Any) -> str:
    return str((named_struct(body) if get_origin(body) else body).__name__)


async def test_example_of_a_request_is_accepted(app: Litestar, document: Document) -> None:
    """The type that a handler reads takes the example that the document shows for it."""
    schemas = document["components"]["schemas"]
    bodies = {
        demanded(handler.parsed_fn_signature.parameters["data"].annotation)
        for route in app.routes
        if isinstance(route, HTTPRoute)
        for handler in route.route_handlers
        if "data" in handler.parsed_fn_signature.parameters and handler.resolve_include_in_schema()
    }
    examples = [(body, each) for body in bodies for each in schemas[name_of(body)].get("examples", ())]

    assert "ProjectCreate" in {name_of(body) for body, _ in examples}
    for body, example in examples:
        assert isinstance(msgspec.convert(example, body), get_origin(body) or body)
