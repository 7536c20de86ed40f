"""Which problems an operation can answer with: those of its policy, of what it takes and gives, and of its code."""

from collections.abc import Iterable, Iterator
from http import HTTPStatus
from typing import Any

from litestar.exceptions.http_exceptions import NotFoundException, RequestEntityTooLarge
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.spec import Example, OpenAPIMediaType, OpenAPIResponse, Reference
from litestar.routes import HTTPRoute

from tenantry.db import denials
from tenantry.db.versions import PreconditionFailed
from tenantry.errors import AppError, Unauthenticated, Unprocessable
from tenantry.http.duplicates import DuplicateKey
from tenantry.http.etag import PreconditionRequired
from tenantry.http.examples import ID
from tenantry.http.idempotency import InFlight, InvalidKey, KeyRequired, KeyReused
from tenantry.http.media import NotAcceptable, UnsupportedMediaType
from tenantry.http.page import InvalidParameter, InvalidSort, UnknownParameter, listing_of
from tenantry.http.policy import Allow, Policy, Public, SignedIn
from tenantry.http.problems import MEDIA_TYPE, problem_of
from tenantry.http.promises import Promises
from tenantry.http.raised import errors_of
from tenantry.http.request import BodyTimeout, MalformedBody
from tenantry.http.visit import FreshAuthRequired, RequestTimeout, SessionRequired
from tenantry.limits.errors import Overloaded, PlanRateExceeded, RateLimited
from tenantry.security.api_keys import InvalidApiKey
from tenantry.security.browser import CsrfFailed
from tenantry.security.cursors import InvalidCursor
from tenantry.security.keys import InvalidToken
from tenantry.security.possession import InvalidProof

__all__ = ("Fault", "faults_of", "tell")

Fault = type[Exception]
PROBLEM = Reference("#/components/schemas/Problem")
OF_SESSIONS = (
    Unauthenticated, InvalidToken, InvalidProof, denials.SessionEnded, denials.AccountDisabled, CsrfFailed,
)  # fmt: skip
OF_MEMBERS = (
    InvalidApiKey, denials.ApiKeyRevoked, denials.ApiKeyExpired, denials.TenantRequired, denials.NotAMember,
    denials.TenantSuspended, denials.TenantDeleting, denials.PermissionMissing, denials.ScopeMissing,
    denials.SecondFactorNeeded, denials.ProviderRequired, denials.SessionConfined, PlanRateExceeded,
)  # fmt: skip
OF_ALL = (RateLimited, Overloaded, RequestTimeout, denials.DatabaseUnavailable, denials.PoolExhausted)
OF_BODIES = (
    MalformedBody, DuplicateKey, BodyTimeout, RequestEntityTooLarge, UnsupportedMediaType, Unprocessable,
)  # fmt: skip
OF_LISTS = (InvalidParameter, UnknownParameter, InvalidSort, InvalidCursor)
OF_KEYS = (InvalidKey, InFlight, KeyReused)


def faults_of(route: HTTPRoute, handler: HTTPRouteHandler, policy: Policy | None, promises: Promises) -> set[Fault]:
    method = min(handler.http_methods)
    return {
        AppError,
        *of_policy(policy),
        *of_shape(route, handler, promises),
        *errors_of(handler.fn, method, handler.status_code),
    }


def of_policy(policy: Policy | None) -> Iterator[Fault]:
    if not (isinstance(policy, Public) and policy.vital):
        yield from OF_ALL
    if not isinstance(policy, Public):
        yield from OF_SESSIONS
    if isinstance(policy, Allow):
        yield from OF_MEMBERS
    if isinstance(policy, SignedIn) or (isinstance(policy, Allow) and policy.fresh_auth is True):
        yield SessionRequired
    if isinstance(policy, SignedIn) and not policy.confined:
        yield denials.SessionConfined
    if isinstance(policy, Allow | SignedIn) and policy.fresh_auth:
        yield FreshAuthRequired


def of_shape(route: HTTPRoute, handler: HTTPRouteHandler, promises: Promises) -> Iterator[Fault]:
    if "data" in handler.parsed_fn_signature.parameters:
        yield from OF_BODIES
    if listing_of(handler) is not None:
        yield from OF_LISTS
    if handler.status_code != HTTPStatus.NO_CONTENT:
        yield NotAcceptable
    if route.path_parameters:
        yield NotFoundException
    if promises.changes_versions:
        yield from (PreconditionFailed, denials.SerializationFailure)
    if promises.requires_match:
        yield PreconditionRequired
    if promises.idempotency:
        yield from OF_KEYS
    if promises.idempotency == "required":
        yield KeyRequired


def tell(faults: Iterable[Fault], responses: dict[str, OpenAPIResponse | Reference]) -> None:
    """Add to the answers of an operation what each of these problems looks like."""
    by_status: dict[str, dict[str, Example | Reference]] = {}
    for fault in sorted(faults, key=place_of):
        members = example_of(fault)
        status = str(members["status"]) if fault is not AppError else "default"
        by_status.setdefault(status, {})[members["code"]] = Example(summary=members["title"], value=members)
    for status, examples in sorted(by_status.items()):
        says = HTTPStatus(int(status)).phrase if status != "default" else "Any other problem"
        response = responses.setdefault(status, OpenAPIResponse(says, content={}))
        if isinstance(response, OpenAPIResponse) and response.content is not None:
            response.content.setdefault(MEDIA_TYPE, OpenAPIMediaType(PROBLEM)).examples = examples


def place_of(fault: Fault) -> tuple[bool, bool, str]:
    """Those of slices first, then the plainest of the platform."""
    return fault.__module__.startswith("tenantry."), AppError not in fault.__bases__, fault.__name__


def example_of(fault: Fault) -> dict[str, Any]:
    """The problem document, without the members that it has only where it happens."""
    error = fault.__new__(fault)
    if isinstance(error, AppError):
        AppError.__init__(error)
    else:
        error = fault()
    members = problem_of(error)[0] | {"instance": f"urn:tenantry:request:{ID}", "request_id": ID}
    return members | ({"errors": [{"detail": "Missing.", "pointer": "/name"}]} if fault is Unprocessable else {})
