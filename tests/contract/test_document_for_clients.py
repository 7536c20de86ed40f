"""What generators of clients stumble over is not in the document; `just clients` tries two of them on all of it."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tenantry.testing import Api

Document = dict[str, Any]


@pytest.fixture
async def document(api: Api) -> Document:
    found: Document = (await api.get("//docs/openapi.json")).json()
    return found


def answers(document: Document) -> Iterator[tuple[str, dict[str, Any]]]:
    """The schema of each answer, by where it is."""
    for path, item in document["paths"].items():
        for method, operation in item.items():
            for status, response in operation["responses"].items():
                for media_type, media in response.get("content", {}).items():
                    yield f"{method} {path} {status} {media_type}", media["schema"]


def snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


async def test_answers_have_types(document: Document) -> None:
    """A file is bytes; an answer of one of several types may fit more than one, so that is no `oneOf`."""
    schemas = dict(answers(document))

    assert [] == [place for place, schema in schemas.items() if not schema or "oneOf" in schema]
    assert {"type": "string", "format": "binary"} == schemas["get /api/v1/tenants/current/export 200 application/zip"]


async def test_bodies_have_one_type(document: Document) -> None:
    """Two media types of one body become a choice in which both sides are the same class."""
    bodies = [
        operation["requestBody"]["content"]
        for item in document["paths"].values()
        for operation in item.values()
        if "requestBody" in operation
    ]

    assert bodies
    assert [1] * len(bodies) == [len(body) for body in bodies]


async def test_no_schema_is_called_as_its_own_list(document: Document) -> None:
    """In the code made of it, the variable for the one would hide the other, and has its type."""
    properties = {name: schema.get("properties", {}) for name, schema in document["components"]["schemas"].items()}

    assert [] == [name for name in properties if properties[name].get(snake(name), {}).get("type") == "array"]


async def test_operations_have_names_that_stay_apart(document: Document) -> None:
    """Also where a language knows no dots in names."""
    names = [
        re.sub(r"\W", "_", operation["operationId"]).lower()
        for item in document["paths"].values()
        for operation in item.values()
    ]

    assert sorted(set(names)) == sorted(names)
