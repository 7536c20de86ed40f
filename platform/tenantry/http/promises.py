"""What the OpenAPI document says of headers: by which requests are made conditional, or safe to send again, and of
those of deprecated routes.
"""

from dataclasses import dataclass

from litestar.handlers import HTTPRouteHandler
from litestar.openapi.spec import OpenAPIHeader, OpenAPIResponse, Parameter, Reference, Schema
from litestar.openapi.spec.enums import OpenAPIType
from litestar.routes import HTTPRoute

from tenantry.http.deprecation import Deprecated
from tenantry.http.plan import plan_of
from tenantry.http.policy import Idempotency

__all__ = ("Promises", "notice_of", "promises_of")

CHANGING = frozenset({"PATCH", "PUT", "DELETE"})
TEXT = Schema(type=OpenAPIType.STRING)
REPLAYED = OpenAPIHeader(schema=TEXT, description="`true` where this is an answer given again")
ETAG = OpenAPIHeader(schema=TEXT, description="The version that this answer shows")
NOTICES = {
    "Deprecation": "RFC 9745: since when, in seconds since 1970",
    "Sunset": "RFC 8594: from when on the route may be gone",
    "Link": "RFC 8288: what to use instead, and where more is said",
}


@dataclass(frozen=True)
class Promises:
    """Of one operation."""

    reads_versions: bool
    changes_versions: bool
    requires_match: bool
    idempotency: Idempotency

    def parameters(self) -> list[Parameter]:
        found = []
        if self.reads_versions:
            found.append(header("If-None-Match", "Answers 304 if the version is still this ETag"))
        if self.changes_versions:
            what = "Changes nothing unless the version is still this ETag"
            found.append(header("If-Match", what, required=self.requires_match))
        if self.idempotency:
            what = "Sent again with the same key, the request has one effect and gets the first answer"
            found.append(header("Idempotency-Key", what, required=self.idempotency == "required"))
        return found

    def complete(self, responses: dict[str, OpenAPIResponse | Reference]) -> None:
        if self.reads_versions:
            responses["304"] = OpenAPIResponse(description="Not Modified", headers={"ETag": ETAG})
        for status, response in responses.items():
            if status.startswith("2") and isinstance(response, OpenAPIResponse) and response.content:
                headers = {"ETag": ETAG} if self.reads_versions or self.changes_versions else {}
                headers |= {"Idempotency-Replayed": REPLAYED} if self.idempotency else {}
                response.headers = {**(response.headers or {}), **headers} or None


def promises_of(route: HTTPRoute, handler: HTTPRouteHandler) -> Promises:
    plan = plan_of(handler)
    is_resource = not plan.is_public and "GET" in route.methods and not CHANGING.isdisjoint(route.methods)
    reads = "GET" in handler.http_methods
    return Promises(
        reads_versions=is_resource and reads,
        changes_versions=plan.requires_match or (is_resource and not reads),
        requires_match=plan.requires_match,
        idempotency=plan.idempotency,
    )


def notice_of(deprecated: Deprecated) -> dict[str, OpenAPIHeader]:
    """Of every answer of a deprecated route."""
    told: dict[str, list[str]] = {}
    for name, value in deprecated.headers():
        told.setdefault(name, []).append(value)
    return {
        name: OpenAPIHeader(schema=TEXT, description=NOTICES[name], example=", ".join(values))
        for name, values in told.items()
    }


def header(name: str, description: str, *, required: bool = False) -> Parameter:
    return Parameter(name=name, param_in="header", required=required, schema=TEXT, description=description)
