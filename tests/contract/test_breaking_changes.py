"""Nothing that a release has promised to clients is broken unseen."""

import tomllib
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import msgspec
import pytest
from litestar import Litestar

from tests.openapi.breaks import Declaration, breaks_between, faults_of

FOLDER = Path(__file__).parents[2] / "docs" / "openapi"
LIST, ONE = "/api/v1/projects", "/api/v1/projects/{project_id}"
Document = dict[str, Any]
Change = Callable[[Document], object]


@pytest.fixture(scope="module")
async def document(app: Litestar) -> Document:
    return app.openapi_schema.to_schema()


async def test_nothing_released_is_broken(document: Document) -> None:
    """The document keeps what the released one promised, but for breaks that `breaks.toml` gives a reason for."""
    released = msgspec.json.decode((FOLDER / "released.json").read_bytes())
    declared = tomllib.loads((FOLDER / "breaks.toml").read_text())
    declarations = msgspec.convert(declared.get("breaks", []), list[Declaration])

    assert [] == faults_of(breaks_between(released, document), declarations)


def properties(document: Document, schema: str) -> dict[str, Any]:
    found: dict[str, Any] = document["components"]["schemas"][schema]["properties"]
    return found


def required(document: Document, schema: str) -> list[str]:
    found: list[str] = document["components"]["schemas"][schema]["required"]
    return found


def add_required(document: Document, schema: str) -> None:
    properties(document, schema)["colour"] = {"type": "string"}
    required(document, schema).append("colour")


def parameter(document: Document, name: str) -> dict[str, Any]:
    found: list[dict[str, Any]] = document["paths"][LIST]["get"]["parameters"]
    return next(each for each in found if each["name"] == name)


def with_parameter(document: Document, *, is_required: bool) -> None:
    new = {"name": "colour", "in": "query", "required": is_required, "schema": {"type": "string"}}
    document["paths"][LIST]["get"]["parameters"].append(new)


BREAKS: dict[str, tuple[Change, str]] = {
    "operation": (lambda it: it["paths"][LIST].pop("post"), f"POST {LIST}: is gone"),
    "path": (lambda it: it["paths"].pop(ONE), f"GET {ONE}: is gone"),
    "id": (lambda it: it["paths"][ONE]["get"].update(operationId="x.y"), f"GET {ONE}: its id is x.y now"),
    "permission": (
        lambda it: it["paths"][ONE]["get"].update({"x-permission": "x:y"}),
        f"GET {ONE}: asks for x:y in place of projects:read",
    ),
    "security": (lambda it: it["paths"][ONE]["get"]["security"].pop(), f"GET {ONE}: takes fewer ways to sign in"),
    "field": (lambda it: properties(it, "Project").pop("description"), f"GET {ONE} 200/description: is gone"),
    "field of a page": (
        lambda it: properties(it, "Project").pop("description"),
        f"GET {LIST} 200/items/-/description: is gone",
    ),
    "type": (lambda it: properties(it, "Project")["name"].update(type="integer"), f"GET {ONE} 200/name: answers more"),
    "null": (
        lambda it: properties(it, "Project")["name"].update(type=["string", "null"]),
        f"GET {ONE} 200/name: answers more",
    ),
    "format": (
        lambda it: properties(it, "Project")["id"].pop("format"),
        f"GET {ONE} 200/id: has another format or pattern",
    ),
    "missing field": (lambda it: required(it, "Project").remove("name"), f"GET {ONE} 200/name: may be missing now"),
    "new required field": (
        lambda it: add_required(it, "ProjectCreate"),
        f"POST {LIST} request/colour: is required now",
    ),
    "field not taken": (
        lambda it: properties(it, "ProjectCreate").pop("description"),
        f"POST {LIST} request/description: is gone",
    ),
    "shorter": (
        lambda it: properties(it, "ProjectCreate")["name"].update(maxLength=3),
        f"POST {LIST} request/name: takes less",
    ),
    "pattern": (
        lambda it: properties(it, "ProjectCreate")["name"].update(pattern="x"),
        f"POST {LIST} request/name: has another format or pattern",
    ),
    "enum": (lambda it: parameter(it, "sort")["schema"]["enum"].pop(), f"GET {LIST} query sort: takes less"),
    "parameter": (
        lambda it: it["paths"][LIST]["get"]["parameters"].remove(parameter(it, "sort")),
        f"GET {LIST} query sort: is gone",
    ),
    "required parameter": (
        lambda it: with_parameter(it, is_required=True),
        f"GET {LIST} query colour: is new and required",
    ),
    "status": (lambda it: it["paths"][LIST]["post"]["responses"].pop("201"), f"POST {LIST} 201: is gone"),
    "header": (
        lambda it: it["paths"][ONE]["get"]["responses"]["200"]["headers"].pop("ETag"),
        f"GET {ONE} 200 ETag: is gone",
    ),
    "media type": (
        lambda it: it["paths"][ONE]["patch"]["requestBody"]["content"].pop("application/json"),
        f"PATCH {ONE} request: is never application/json now",
    ),
}


@pytest.mark.parametrize(("change", "told"), BREAKS.values(), ids=BREAKS)
async def test_planted_break_is_told(document: Document, change: Change, told: str) -> None:
    """What would break a client is named, with the operation and the place in it."""
    changed = deepcopy(document)
    change(changed)

    assert told in breaks_between(document, changed)


ADDITIONS: dict[str, Change] = {
    "nothing": lambda _: None,
    "operation": lambda it: it["paths"][LIST].update(put=it["paths"][LIST]["post"]),
    "path": lambda it: it["paths"].update({"/api/v2/projects": it["paths"][LIST]}),
    "field": lambda it: properties(it, "Project").update(colour={"type": "string"}),
    "field that is always there": lambda it: add_required(it, "Project"),
    "optional field": lambda it: properties(it, "ProjectCreate").update(colour={"type": "string"}),
    "longer": lambda it: properties(it, "ProjectCreate")["name"].update(maxLength=300),
    "enum": lambda it: parameter(it, "sort")["schema"]["enum"].append("colour"),
    "optional parameter": lambda it: with_parameter(it, is_required=False),
    "words": lambda it: properties(it, "Project")["name"].update(description="What people call it.", examples=["x"]),
    "deprecation": lambda it: it["paths"][LIST]["get"].update(deprecated=True),
}


@pytest.mark.parametrize("change", ADDITIONS.values(), ids=ADDITIONS)
async def test_addition_passes(document: Document, change: Change) -> None:
    """What a client need not know breaks nothing."""
    changed = deepcopy(document)
    change(changed)

    assert [] == breaks_between(document, changed)


def test_break_is_declared_with_a_reason() -> None:
    """A declared break passes, by its words or by a pattern; one that is not there any more is told, too."""
    breaks = ["GET /a 200/x: is gone", "GET /b 200/x: is gone", "GET /c: is gone"]
    declared = [
        Declaration("* 200/x: is gone", "its sunset has passed"),
        Declaration("GET /d: is gone", "it was there"),
    ]

    assert ["GET /c: is gone", "declared, and not so: GET /d: is gone"] == faults_of(breaks, declared)


def test_reason_is_needed() -> None:
    """A declaration without one is refused."""
    with pytest.raises(msgspec.ValidationError, match="reason"):
        msgspec.convert([{"what": "GET /a: is gone"}], list[Declaration])
