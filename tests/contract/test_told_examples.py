"""What the document shows is what is sent: bodies that fit their schemas, and every problem that is met."""

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import jsonschema_rs
import pytest
from litestar import Litestar

from tenantry.security.permissions import Role
from tenantry.testing import Api, TenantHandle
from tests.isolation.operations import Contract, Operation

JSON, PROBLEM = "application/json", "application/problem+json"
DIALECT = "https://json-schema.org/draft/2020-12/schema"
Document = dict[str, Any]


@pytest.fixture(scope="module")
def contract(app: Litestar) -> Contract:
    return Contract(app)


def bodies(document: Document) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Of every request and answer: what it is of, its media type, and what the document says of it."""
    for item in document["paths"].values():
        for operation in item.values():
            for part, body in (("request", operation.get("requestBody", {})), *operation["responses"].items()):
                for media_type, content in body.get("content", {}).items():
                    yield f"{operation['operationId']} {part}", media_type, content


class Judge:
    """Of values, by the schemas of one document; each schema is compiled once."""

    def __init__(self, document: Document) -> None:
        self.schemas = document["components"]["schemas"]
        self.examples = {name: each["value"] for name, each in document["components"]["examples"].items()}
        self.faults: set[str] = set()
        self._compiled: dict[str, jsonschema_rs.Validator] = {}

    def judge(self, where: str, schema: dict[str, Any], value: Any) -> None:
        validator = self._compiled.get(str(schema)) or self._compiled.setdefault(str(schema), self._compile(schema))
        self.faults |= {f"{where}: {fault.message}" for fault in validator.iter_errors(value)}

    def _compile(self, schema: dict[str, Any]) -> jsonschema_rs.Validator:
        whole = {"$schema": DIALECT, "components": {"schemas": self.schemas}, **schema}
        return jsonschema_rs.validator_for(whole, validate_formats=True)


def faults_of(document: Document) -> set[str]:
    """Bodies without an example, and examples that their schemas do not allow."""
    judge, shared = Judge(document), set()
    for where, media_type, content in bodies(document):
        named = {each["$ref"].rpartition("/")[2] for each in content.get("examples", {}).values()}
        if "example" in content:
            judge.judge(where, content["schema"], content["example"])
        elif not named and "json" in media_type:
            judge.faults.add(f"{where}: {media_type} has no example")
        shared |= {(name, content["schema"]["$ref"]) for name in named}
    for name, reference in shared:
        judge.judge(name, {"$ref": reference}, judge.examples[name])
    for name, schema in judge.schemas.items():
        for value in schema.get("examples", ()):
            judge.judge(name, {"$ref": f"#/components/schemas/{name}"}, value)
    return judge.faults


async def test_examples_fit_their_schemas(contract: Contract) -> None:
    """Each body of JSON, sent or answered, has an example, and its schema allows it, formats included."""
    assert set() == faults_of(contract.document)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"name": "x" * 201}, "longer than 200"),
        ({"name": "Apollo", "colour": "red"}, "'colour' was unexpected"),
        ({}, '"name" is a required property'),
    ],
    ids=["long", "unknown", "missing"],
)
async def test_planted_example_is_found(contract: Contract, value: Any, message: str) -> None:
    """An example that a request could not be sent with is named, with what is wrong with it."""
    document = deepcopy(contract.document)
    document["paths"]["/api/v1/projects"]["post"]["requestBody"]["content"][JSON]["example"] = value

    [fault] = faults_of(document)

    assert fault.startswith("projects.create request: ")
    assert message in fault


async def test_missing_example_is_found(contract: Contract) -> None:
    """A body that shows nothing is named."""
    document = deepcopy(contract.document)
    del document["paths"]["/api/v1/projects"]["post"]["responses"]["201"]["content"][JSON]["example"]

    assert {"projects.create 201: application/json has no example"} == faults_of(document)


async def test_operation_is_told_whole(contract: Contract) -> None:
    """Each has an id, a summary, and the permission that its policy asks for, where programs and people read it."""
    for each in (each for each in contract.operations if each.document):
        permission = getattr(each.policy, "permission", None)

        assert each.document["operationId"]
        assert each.document["summary"]
        assert (permission and permission.name) == each.document.get("x-permission")
        assert not permission or f"Permission: `{permission.name}`" in each.document["description"]


async def test_problems_that_are_met_are_told(api: Api, acme: TenantHandle, contract: Contract) -> None:
    """Whatever is wrong with a request, the document shows the problem that answers it, under its status."""
    key = await acme.key(await acme.service_account(Role.viewer), ["tenants:read"])
    callers = {
        "nobody": api,
        "a forger": api.bearing("a.b.c"),
        "viewer": api.as_(acme.viewer),
        "owner": api.as_(acme.owner),
        "key": api.bearing(key.text),
    }
    wrong: dict[str, dict[str, Any]] = {
        "content": {"content": b"{", "headers": {"Content-Type": "application/json"}},
        "type": {"content": b"x", "headers": {"Content-Type": "text/plain"}},
        "fields": {"json": {"more": 1}},
        "query": {"params": {"limit": "0", "more": "1"}},
        "accept": {"headers": {"Accept": "image/png"}},
    }
    untold = set()
    for operation in (each for each in contract.operations if each.document and each.method != "DELETE"):
        answers = [await contract.call(caller, operation) for caller in callers.values()]
        path = "/" + operation.path.format(**dict.fromkeys(operation.parameters, acme.id))
        answers += [await callers["owner"].request(operation.method, path, **each) for each in wrong.values()]
        for answer in answers:
            if answer.headers.get("content-type") == PROBLEM and not is_told(contract, operation, answer.json()):
                untold.add(f"{operation}: {answer.status_code} {answer.json()['code']}")

    assert set() == untold


def is_told(contract: Contract, operation: Operation, problem: dict[str, Any]) -> bool:
    response = operation.document["responses"].get(str(problem["status"]), {})
    return problem["code"] in response.get("content", {}).get(PROBLEM, {}).get("examples", {})
