"""What the OpenAPI document says of one route: its name, who may use it, and which problems it answers."""

from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from inspect import cleandoc
from typing import Any

from litestar.enums import HttpMethod
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import OpenAPIResponse, Operation, Parameter, RequestBody
from litestar.routes import HTTPRoute

from tenantry.db.listing import Listing
from tenantry.db.versions import PreconditionFailed
from tenantry.errors import AppError, BadRequest, Forbidden, NotFound, Unauthenticated, Unprocessable
from tenantry.http.etag import PreconditionRequired
from tenantry.http.idempotency import InFlight
from tenantry.http.media import JSON, NotAcceptable, UnsupportedMediaType, taken_types
from tenantry.http.page import listing_of
from tenantry.http.parameters import parameters_of
from tenantry.http.policy import Allow, Policy, Public, policy_of
from tenantry.http.problems import MEDIA_TYPE, Problem, problem_of
from tenantry.http.promises import Promises, promises_of
from tenantry.http.schemas import plain

__all__ = ("document", "operation_id")

REQUEST_ID = "01981f2e-5c1b-7d4e-9a53-0c6f2f0b7a11"
PROBLEMS: dict[str, AppError] = {
    "400": BadRequest(),
    "401": Unauthenticated(),
    "403": Forbidden(),
    "404": NotFound(),
    "406": NotAcceptable(),
    "409": InFlight(),
    "412": PreconditionFailed(),
    "415": UnsupportedMediaType(),
    "422": Unprocessable(errors=[{"detail": "Missing.", "pointer": "/name"}]),
    "428": PreconditionRequired(),
    "default": AppError(),
}


@dataclass
class ApiOperation(Operation):
    promises: Promises = field(kw_only=True)
    listing: Listing | None = field(kw_only=True)
    taken: tuple[str, ...] = field(kw_only=True)

    @property
    def _exclude_fields(self) -> set[str]:
        return {"promises", "listing", "taken"}

    def __post_init__(self) -> None:
        if self.listing is not None:
            self.parameters = [*(self.parameters or ()), *parameters_of(self.listing)]
        content = self.request_body.content if isinstance(self.request_body, RequestBody) else {}
        content |= {media_type: content[JSON] for media_type in self.taken if media_type not in content}
        parameters = [each for each in self.parameters or () if isinstance(each, Parameter)]
        responses = self.responses or {}
        if (
            not self.request_body
            and not self.promises.idempotency
            and all(each.param_in == "path" for each in parameters)
        ):
            responses.pop("400", None)
        for parameter in parameters:
            if parameter.schema:
                parameter.schema = plain(parameter.schema, null=False)
        for status, response in responses.items():
            if status in PROBLEMS and isinstance(response, OpenAPIResponse) and MEDIA_TYPE in (response.content or {}):
                response.content[MEDIA_TYPE].example = example_of(PROBLEMS[status])  # type: ignore[index]  # content was checked in the condition
        self.parameters = [*(self.parameters or ()), *self.promises.parameters()] or None
        self.promises.complete(responses)


def document(route: HTTPRoute, handler: HTTPRouteHandler) -> None:
    policy = policy_of(handler)
    statuses = (
        {"400", "415", "422", "default"} if "data" in handler.parsed_fn_signature.parameters else {"400", "default"}
    )
    if not isinstance(policy, Public):
        statuses |= {"401", "403"}
        handler.security = ways_in(handler, policy)
    if handler.status_code != HTTPStatus.NO_CONTENT:
        statuses.add("406")
    if route.path_parameters:
        statuses.add("404")
    promises = promises_of(route, handler)
    statuses |= promises.statuses
    if isinstance(policy, Allow):
        handler.description = f"{cleandoc(handler.fn.__doc__ or '')}\n\nPermission: `{policy.permission.name}`".strip()
    problems = {
        status: ResponseSpec(Problem, False, error.title if status != "default" else "Any other problem", MEDIA_TYPE)
        for status, error in PROBLEMS.items()
        if status in statuses
    }
    declared = {str(status): response for status, response in (handler.responses or {}).items()}
    handler.responses = {**problems, **declared}  # type: ignore[dict-item]  # the key "default" stands for all others
    handler.response_description = handler.response_description or HTTPStatus(handler.status_code).phrase
    handler.operation_class = partial(  # type: ignore[assignment]  # it is only called
        ApiOperation, promises=promises, listing=listing_of(handler), taken=taken_types(handler)
    )


def ways_in(handler: HTTPRouteHandler, policy: Policy | None) -> list[dict[str, list[str]]]:
    """Each by itself; a cookie that changes something needs the token against forged requests beside it."""
    browser = ("Cookie",) if handler.http_methods == {HttpMethod.GET} else ("Cookie", "CsrfToken")
    keys = [("ApiKey",)] if isinstance(policy, Allow) else []
    return [{scheme: [] for scheme in way} for way in (("Password",), ("Bearer",), browser, *keys)]


def operation_id(handler: HTTPRouteHandler, *_: Any) -> str:
    """`api_keys.create`: the path of the controller and the name of the handler, unique where both are."""
    path = handler.owner.path.replace("-", "_") if handler.owner else ""
    words = [word for word in path.split("/") if word and not word.startswith("{")]
    return ".".join([*words, handler.handler_name])


def example_of(error: AppError) -> dict[str, Any]:
    return problem_of(error)[0] | {"instance": f"urn:tenantry:request:{REQUEST_ID}", "request_id": REQUEST_ID}
