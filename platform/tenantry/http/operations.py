"""What the OpenAPI document says of one route: its name, who may use it, and which problems it answers."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from inspect import cleandoc
from typing import Any

from litestar.enums import HttpMethod
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import OpenAPIHeader, OpenAPIResponse, Operation, Parameter, RequestBody
from litestar.routes import HTTPRoute

from tenantry.db.listing import Listing
from tenantry.http.faults import Fault, faults_of, tell
from tenantry.http.media import taken_types
from tenantry.http.page import InvalidParameter, listing_of
from tenantry.http.parameters import parameters_of
from tenantry.http.policy import Allow, Policy, Public, policy_of
from tenantry.http.problems import MEDIA_TYPE, Problem
from tenantry.http.promises import Promises, notice_of, promises_of
from tenantry.http.schemas import generatable, plain

__all__ = ("document", "operation_id")


@dataclass
class ApiOperation(Operation):
    promises: Promises = field(kw_only=True)
    listing: Listing | None = field(kw_only=True)
    taken: tuple[str, ...] = field(kw_only=True)
    notice: dict[str, OpenAPIHeader] = field(kw_only=True)
    faults: Callable[[], set[Fault]] = field(kw_only=True)
    """Found only when the document is made: it takes a while."""
    permission: str | None = field(kw_only=True, metadata={"alias": "x-permission"})

    @property
    def _exclude_fields(self) -> set[str]:
        return {"promises", "listing", "taken", "notice", "faults"}

    def __post_init__(self) -> None:
        if self.listing is not None:
            self.parameters = [*(self.parameters or ()), *parameters_of(self.listing)]
        also = [f"`{media_type}`" for media_type in self.taken[1:]]
        if also and isinstance(self.request_body, RequestBody):
            # Not under `content`: generators of clients make a choice of types out of two that are the same.
            self.request_body.description = f"Taken as {' and '.join(also)} as well"
        parameters = [each for each in self.parameters or () if isinstance(each, Parameter)]
        responses = self.responses or {}
        for parameter in parameters:
            if parameter.schema:
                parameter.schema = plain(parameter.schema, null=False)
        faults = self.faults()
        if any(each.param_in != "path" for each in parameters):
            faults.add(InvalidParameter)
        responses.pop("400", None)  # Litestar's own, of another form
        tell(faults, responses)
        for response in responses.values():
            if isinstance(response, OpenAPIResponse):
                for media in (response.content or {}).values():
                    media.schema = generatable(media.schema)
        self.parameters = [*(self.parameters or ()), *self.promises.parameters()] or None
        self.promises.complete(responses)
        for response in responses.values():
            if isinstance(response, OpenAPIResponse) and self.notice:
                response.headers = {**(response.headers or {}), **self.notice}
        self.responses = dict(sorted(responses.items()))
        self.security = self.security or []


def document(route: HTTPRoute, handler: HTTPRouteHandler) -> None:
    policy = policy_of(handler)
    promises = promises_of(route, handler)
    if not isinstance(policy, Public):
        handler.security = ways_in(handler, policy)
    said = [cleandoc(handler.fn.__doc__ or "")]
    if isinstance(policy, Allow):
        said.append(f"Permission: `{policy.permission.name}`")
    deprecated = policy.deprecated if policy is not None else None
    if deprecated is not None:
        handler.deprecated = True
        said.append(str(deprecated))
    handler.description = "\n\n".join(filter(None, said)) or None
    others = {"default": ResponseSpec(Problem, False, "Any other problem", MEDIA_TYPE)}
    handler.responses = {**(handler.responses or {}), **others}  # type: ignore[dict-item]  # the key stands for all others
    handler.response_description = handler.response_description or HTTPStatus(handler.status_code).phrase
    handler.operation_class = partial(  # type: ignore[assignment]  # it is only called
        ApiOperation,
        promises=promises,
        listing=listing_of(handler),
        taken=taken_types(handler),
        notice=notice_of(deprecated) if deprecated is not None else {},
        faults=partial(faults_of, route, handler, policy, promises),
        permission=policy.permission.name if isinstance(policy, Allow) else None,
    )


def ways_in(handler: HTTPRouteHandler, policy: Policy | None) -> list[dict[str, list[str]]]:
    """Each by itself; a cookie that changes something needs the token against forged requests beside it."""
    browser = ("Cookie",) if handler.http_methods == {HttpMethod.GET} else ("Cookie", "CsrfToken")
    keys = [("ApiKey",)] if isinstance(policy, Allow) else []
    return [{scheme: [] for scheme in way} for way in (("Password",), ("Bearer",), browser, *keys)]


def operation_id(handler: HTTPRouteHandler, _: Any, components: list[Any]) -> str:
    """`api_keys.create`: the path of the controller and the name of the handler, unique where both are.

    `api_keys.create_v2` in another version than the first.
    """
    path = handler.owner.path.replace("-", "_") if handler.owner else ""
    words = [word for word in path.split("/") if word and not word.startswith("{")]
    version = components[1] if components[:1] == ["api"] else "v1"
    return ".".join([*words, handler.handler_name if version == "v1" else f"{handler.handler_name}_{version}"])
