"""Everything that the application offers, read from its routes and its OpenAPI document, and requests made of it."""

import re
import secrets
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import httpx
from litestar import Litestar
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute

from tenantry.http.deny_by_default import is_generated
from tenantry.http.policy import Policy, Public, policy_of
from tenantry.ids import new_id
from tenantry.testing import Api

__all__ = ("Contract", "Operation")

SAMPLES = {
    "date": "2026-01-31",
    "date-time": "2026-01-31T12:00:00Z",
    "email": "ada@example.com",
    "uri": "https://example.com/",
}


class Operation(NamedTuple):
    method: str
    path: str
    """As the document writes it: `/api/v1/projects/{project_id}`."""
    policy: Policy
    document: Mapping[str, Any]
    """Empty for a route that is not in the schema."""

    @property
    def parameters(self) -> list[str]:
        """Names of those in the path."""
        return re.findall(r"{(\w+)}", self.path)

    @property
    def is_public(self) -> bool:
        return isinstance(self.policy, Public)

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


class Contract:
    """All operations of one application."""

    def __init__(self, app: Litestar) -> None:
        self.document: dict[str, Any] = app.openapi_schema.to_schema()
        self.operations = sorted(
            (self._operation(route, handler, method) for route, handler, method in handlers(app)),
            key=lambda operation: (operation.path, operation.method),
        )

    async def call(
        self,
        api: Api,
        operation: Operation,
        ids: Mapping[str, str] = MappingProxyType({}),
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> httpx.Response:
        """A request with a minimal valid body; parameters of the path that are not given get ids that never were.

        Where a field has to name something that exists, which no sample does, it gets the example of the document.
        """
        filled = {name: str(new_id()) for name in operation.parameters} | dict(ids)
        options = self.options(operation)
        options["headers"] |= headers
        path = f"/{operation.path.format(**filled)}"
        response = await api.request(operation.method, path, **options)
        if response.status_code == 422 and (better := self._better(operation, response)):
            options["json"] |= better
            response = await api.request(operation.method, path, **options)
        return response

    def options(self, operation: Operation) -> dict[str, Any]:
        """Body and required parameters, as httpx takes them."""
        options: dict[str, Any] = {"params": {}, "headers": {}}
        for parameter in operation.document.get("parameters") or []:
            place = {"query": "params", "header": "headers"}.get(parameter["in"])
            if place and parameter.get("required"):
                options[place][parameter["name"]] = str(self.sample(parameter["schema"]))
        content = (operation.document.get("requestBody") or {}).get("content", {})
        for media_type, body in content.items():
            options["json" if "json" in media_type else "data"] = self.sample(body["schema"])
        return options

    async def row(self, api: Api, collection: str, ids: dict[str, str], name: str) -> str | None:
        """Id of a new row through the collection's POST, else of the first that its GET lists."""
        for method in ("POST", "GET"):
            if operation := self.find(method, collection):
                response = await self.call(api, operation, ids)
                answer = response.json() if response.is_success and response.content else {"items": []}
                for row in answer if isinstance(answer, list) else answer.get("items", [answer]):
                    if (id := row.get(name) or row.get("id")) and not row.get("is_current"):
                        return str(id)
        return None

    def _better(self, operation: Operation, refused: httpx.Response) -> dict[str, Any]:
        """The document's examples for the fields of a body that were refused."""
        faults = {
            fault.get("pointer", "").partition("/")[2].partition("/")[0] for fault in refused.json().get("errors", ())
        }
        return {name: value for name, value in self._example(operation).items() if name in faults}

    def _example(self, operation: Operation) -> dict[str, Any]:
        """What the document shows as the body of a request; empty where it shows none."""
        body = (operation.document.get("requestBody") or {}).get("content", {}).get("application/json", {})
        schema = self.document["components"]["schemas"].get(body.get("schema", {}).get("$ref", "").rpartition("/")[2])
        return dict(((schema or {}).get("examples") or [{}])[0])

    def find(self, method: str, path: str) -> Operation | None:
        return next((each for each in self.operations if (each.method, each.path) == (method, path)), None)

    def sample(self, schema: dict[str, Any]) -> Any:
        """The least value that satisfies a JSON schema; texts differ every time, so that unique ones stay so."""
        if "$ref" in schema:
            return self.sample(self.document["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
        if alternatives := schema.get("oneOf") or schema.get("anyOf"):
            return self.sample({**schema, "oneOf": None, "anyOf": None, **alternatives[0]})
        if "const" in schema or "enum" in schema:
            return schema.get("const", (schema.get("enum") or [None])[0])
        match schema.get("type"):
            case "object":
                return {name: self.sample(schema["properties"][name]) for name in schema.get("required", [])}
            case "array":
                example = (schema.get("examples") or [None])[0]
                return example or [self.sample(schema["items"]) for _ in range(schema.get("minItems", 0))]
            case "integer" | "number":
                return int(schema.get("minimum", schema.get("exclusiveMinimum", -1) + 1))
            case "boolean":
                return False
            case "string":
                return sample_text(schema)
        return None

    def _operation(self, route: HTTPRoute, handler: HTTPRouteHandler, method: str) -> Operation:
        policy = policy_of(handler)
        assert policy is not None
        document = self.document["paths"].get(route.path_format, {}).get(method.lower(), {})
        return Operation(method, route.path_format, policy, document)


def handlers(app: Litestar) -> list[tuple[HTTPRoute, HTTPRouteHandler, str]]:
    """All that is ours; Litestar's own touch no data."""
    return [
        (route, handler, method)
        for route in app.routes
        if isinstance(route, HTTPRoute)
        for handler in route.route_handlers
        if not is_generated(handler)
        for method in handler.http_methods
    ]


def sample_text(schema: dict[str, Any]) -> str:
    if schema.get("format") == "uuid":
        return str(new_id())
    unique = f"t{secrets.token_hex(4)}"
    example = str((schema.get("examples") or [SAMPLES.get(schema.get("format", ""), "")])[0])
    for candidate in (unique + example, example + unique, example):
        fits = schema.get("minLength", 0) <= len(candidate) <= schema.get("maxLength", len(candidate))
        if fits and schema.get("format") in (None, "email") and re.search(schema.get("pattern", ""), candidate):
            return candidate
    return example or (unique * schema.get("minLength", 1))[: schema.get("minLength", 1)]
