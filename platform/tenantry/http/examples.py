"""An example of each body that the OpenAPI document tells of, made of its schema where the types give none.

A type's own example, `Meta(examples=["Apollo"])`, comes first; then that of a type with a like name, then a usual value
for the name of the field, and in the end any that its schema allows.
"""

import re
from collections.abc import Iterator
from typing import Any

__all__ = ("ID", "complete", "operations_of")

Schema = dict[str, Any]
ID = "01981f2e-5c1b-7d4e-9a53-0c6f2f0b7a11"
MOMENT = "2026-11-25T09:30:00Z"
VALUES: dict[str, Any] = {
    "access_token": "eyJhbGciOiJFZERTQSIs…",
    "address": "192.0.2.17",
    "authorization_url": "https://login.example.com/authorize?state=…",
    "challenge": "c2Vjb25kLXN0ZXA…",
    "client_id": "tenantry",
    "client_secret": "the secret that the provider has shown",
    "code": "123456",
    "code_verifier": "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
    "confirmed_domains": ["example.com"],
    "csrf_token": "pW4zS0oX…",
    "description": "To the moon",
    "detail": "What went wrong, in words.",
    "device": "Firefox on Linux",
    "domains": ["example.com"],
    "email": "ada@example.com",
    "expires_in": 600,
    "hint": "tny_…7Qm4",
    "issuer": "https://login.example.com",
    "key": "tny_…",
    "locale": "en",
    "login_url": "https://api.example.com/api/v1/auth/sso/start?connection_id=…",
    "method": "GET",
    "milliseconds": 1.4,
    "methods": ["password"],
    "name": "Apollo",
    "overlap_seconds": 86400,
    "parameter": "limit",
    "path": "/api/v1/projects",
    "permissions": ["projects:read"],
    "pointer": "/name",
    "qr_svg": "<svg …/>",
    "recovery_codes": ["7f3k-9wqx-2mhd"],
    "recovery_codes_left": 9,
    "refresh_token": "tnr_…",
    "return_to": "/",
    "role": "member",
    "scopes": ["projects:read"],
    "secret": "JBSWY3DPEHPK3PXP…",
    "slug": "acme",
    "subject": "248289761001",
    "time_zone": "Europe/Paris",
    "token": "QmFzZTY0IG9mIGEgc2VjcmV0…",
    "total": 1,
    "uri": "otpauth://totp/Tenantry:ada%40example.com?secret=…",
    "username": "ada@example.com",
    "user_agent": "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
}
NAMES = {"email": "Ada Lovelace", "slug": "Acme"}
"""By a field that stands beside the name."""
MOSTLY_NULL = frozenset({
    "archived_at", "end_reason", "ended_at", "erase_after", "next_cursor", "pending_address", "previous_until",
    "revoked_at",
})  # fmt: skip
MOSTLY_TRUE = re.compile(r"ok|(is|has|can)_\w+|required|backed_up")
FORMATS = {
    "uuid": ID,
    "date-time": MOMENT,
    "date": "2026-11-25",
    "email": "ada@example.com",
    "uri": "https://example.com/",
}
EXEMPLARY = ("application/json", "application/merge-patch+json", "application/x-www-form-urlencoded")
ANY_TEXT = ("example", "Apollo", "x")


class Examples:
    """Of one document."""

    def __init__(self, schemas: dict[str, Schema], sent: frozenset[str]) -> None:
        self._schemas, self._sent = schemas, sent
        self._given: dict[str, dict[str, Any]] = {}
        """By field and the schema that it is of."""
        for owner, schema in schemas.items():
            for field, each in schema.get("properties", {}).items():
                if each.get("examples"):
                    self._given.setdefault(field, {})[owner] = each["examples"][0]

    def of(self, schema: Schema, field: str = "", owner: str = "") -> Any:
        if reference := schema.get("$ref"):
            owner = reference.rpartition("/")[2]
            return self.of(self._schemas[owner], field, owner)
        for given in ("examples", "enum"):
            if schema.get(given):
                return schema[given][0]
        if "const" in schema:
            return schema["const"]
        options = schema.get("oneOf") or schema.get("anyOf") or []
        type_ = schema.get("type")
        kinds = type_ if isinstance(type_, list) else [type_]
        if field in MOSTLY_NULL and ("null" in kinds or {"type": "null"} in options):
            return None
        if options:
            return self.of(next(each for each in options if each.get("type") != "null"), field, owner)
        return self._of_kind(next((kind for kind in kinds if kind != "null"), None), schema, field, owner)

    def _of_kind(self, kind: str | None, schema: Schema, field: str, owner: str) -> Any:
        match kind:
            case "object":
                return self._object(schema, owner)
            case "boolean":
                return bool(MOSTLY_TRUE.fullmatch(field))
            case "array" if alike := [each for each in self._alike(field, owner) if isinstance(each, list)]:
                return alike[0]
            case "array" if not isinstance(VALUES.get(field), list):
                return [self.of(schema.get("items", {}), field.removesuffix("s"), owner)] * max(
                    1, schema.get("minItems", 0)
                )
            case "integer" | "number" if not isinstance(VALUES.get(field), int | float):
                return max(1, schema.get("minimum", 1), schema.get("exclusiveMinimum", 0) + 1)
            case "string":
                return next(each for each in self._texts(schema, field, owner) if is_allowed(each, schema))
        return VALUES.get(field)

    def _object(self, schema: Schema, owner: str) -> dict[str, Any]:
        """Of what is sent, all that is required or has an example of its own; of an answer, everything."""
        properties: dict[str, Schema] = schema.get("properties", {})
        shown = [*properties]
        if schema.get("additionalProperties") is False or owner in self._sent:
            required = schema.get("required", ())
            shown = [name for name in shown if name in required or properties[name].get("examples")] or shown
        named = next((name for sibling, name in NAMES.items() if sibling in properties), None)
        return {
            name: named if named and name == "name" and not self._alike(name, owner) else self.of(each, name, owner)
            for name, each in properties.items()
            if name in shown
        }

    def _alike(self, field: str, owner: str) -> list[Any]:
        """Examples of the same field of `ProjectCreate`, where it is of `Project`, or the other way round."""
        given = self._given.get(field, {})
        return [example for of, example in given.items() if of.startswith(owner) or owner.startswith(of)]

    def _texts(self, schema: Schema, field: str, owner: str) -> Iterator[str]:
        if schema.get("format") in FORMATS:
            yield FORMATS[schema["format"]]
        yield from (each for each in self._alike(field, owner) if isinstance(each, str))
        if isinstance(VALUES.get(field), str):
            yield VALUES[field]
        yield from ANY_TEXT
        yield "x" * schema.get("minLength", 1)


def is_allowed(text: str, schema: Schema) -> bool:
    fits = schema.get("minLength", 0) <= len(text) <= schema.get("maxLength", len(text))
    return fits and re.search(schema.get("pattern", ""), text) is not None


def answers_of(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The bodies of all answers, by media type."""
    for operation in operations_of(document):
        for response in operation["responses"].values():
            yield response.get("content", {})


def share(document: dict[str, Any]) -> None:
    """Many operations answer with the same problems: each example stands once, under the code of its problem."""
    shared = document["components"].setdefault("examples", {})
    for content in answers_of(document):
        for body in content.values():
            for code, example in body.get("examples", {}).items():
                if shared.setdefault(code, example) == example:
                    body["examples"][code] = {"$ref": f"#/components/examples/{code}"}


def operations_of(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for item in document["paths"].values():
        yield from item.values()


def complete(document: dict[str, Any]) -> None:
    """Write an example beside each schema of a body that has none."""
    share(document)
    schemas = document["components"]["schemas"]
    bodies = [
        body for each in operations_of(document) for body in each.get("requestBody", {}).get("content", {}).values()
    ]
    examples = Examples(schemas, frozenset(body["schema"].get("$ref", "").rpartition("/")[2] for body in bodies))
    for operation in operations_of(document):
        for body in (operation.get("requestBody", {}), *operation["responses"].values()):
            for media_type, content in body.get("content", {}).items():
                settle(content.get("schema", {}))
                if media_type in EXEMPLARY and not content.keys() & {"example", "examples"}:
                    content["example"] = examples.of(content["schema"])
    for name, schema in schemas.items():
        if schema.get("additionalProperties") is False and not schema.get("examples"):
            schema["examples"] = [examples.of(schema, owner=name)]


def settle(schema: Schema) -> None:
    """What is sent or answered as one of several types may satisfy more than one, which `oneOf` would forbid."""
    if "oneOf" in schema:
        schema["anyOf"] = schema.pop("oneOf")
