"""A handler that takes and gives plain values: it can be called without Litestar's layers around it.

Those make a request of every route pass two handlers of exceptions, a chain of response factories and a mapping of
headers, which takes longer than the handler itself. What Litestar knows of a route stays true here: its own code reads
the parameters, and its own code judges them.
"""

from pathlib import Path
from typing import Any, get_origin
from uuid import UUID

import msgspec
from litestar import Litestar, MediaType
from litestar.exceptions import ClientException, ImproperlyConfiguredException, SerializationException
from litestar.handlers import HTTPRouteHandler
from litestar.params import KwargDefinition
from litestar.routes import HTTPRoute
from litestar.serialization import get_serializer
from litestar.status_codes import HTTP_204_NO_CONTENT
from litestar.types import Empty, Receive, Scope, Send
from litestar.typing import FieldDefinition

from tenantry.http.answer import CONTENT_TYPE, Answer
from tenantry.http.media import JSON
from tenantry.http.plan import RoutePlan, has_hooks, plan_of
from tenantry.http.request import ApiRequest, body_of, body_rule, decode_body
from tenantry.inject import Arguments, in_order

__all__ = ("Endpoint", "endpoints_of")

CHANGING = frozenset({"PATCH", "PUT", "DELETE"})


class Endpoint:
    """One method of one route."""

    def __init__(self, route: HTTPRoute, handler: HTTPRouteHandler, arguments: Arguments) -> None:
        self.handler = handler
        self.plan: RoutePlan = plan_of(handler)
        self.template = route.path_format
        self._waits = not handler.has_sync_callable
        self._status = handler.status_code
        self.is_read = "GET" in handler.http_methods
        self.is_resource = self.is_read and not CHANGING.isdisjoint(route.methods)
        """What is read here can be changed here: it always has a tag."""
        self._encode = msgspec.json.Encoder(enc_hook=get_serializer(handler.resolve_type_encoders())).encode
        self._arguments = arguments
        self._signature = handler.signature_model
        wanted = handler.parsed_fn_signature.parameters
        identifiers = {name for name, parameter in route.path_parameters.items() if parameter.type is UUID}
        of_path = {name for name in identifiers & wanted.keys() if wanted[name].annotation is UUID}
        self._names = tuple(wanted)
        self._call = in_order(handler.fn, self._names)
        known = of_path | arguments.names | {"data"}
        self._is_short = arguments.come_from_path and wanted.keys() <= known and not is_bounded(wanted.get("data"))
        """All arguments have their types already: Litestar need not look."""
        self._takes_body = "data" in wanted
        self._body_type = body_rule(handler).annotation

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> Answer:
        if self._is_short:
            given = {**scope["path_params"], "scope": scope}
            if self._takes_body:
                given["data"] = decode_body(await body_of(scope, receive), self._body_type)
            self._arguments.complete(given)
        else:
            given = await self._judged(ApiRequest(scope, receive, send))
        content = self._call(*map(given.__getitem__, self._names))
        if self._waits:
            content = await content
        if self._status == HTTP_204_NO_CONTENT:
            return Answer(self._status, [])
        body = b"" if content is None else self._encode(content)
        return Answer(self._status, [CONTENT_TYPE, (b"content-length", b"%d" % len(body))], body, content)

    async def _judged(self, request: ApiRequest) -> dict[str, Any]:
        """The arguments as Litestar finds them."""
        try:
            arguments = await self._arguments.to_kwargs(request)
        except SerializationException as error:
            raise ClientException(str(error)) from error
        if arguments.get("data") is Empty:
            del arguments["data"]
        return self._signature.parse_values_from_connection_kwargs(request, arguments)


def endpoints_of(route: HTTPRoute, app: Litestar) -> dict[str, Endpoint]:
    """By method; none where the route asks for more of Litestar than to be called."""
    found: dict[str, Endpoint] = {}
    if not any(parameter.type is Path for parameter in route.path_parameters.values()):
        for method, (handler, arguments) in route.route_handler_map.items():
            if isinstance(arguments, Arguments) and _is_plain(handler, app):
                found[method] = Endpoint(route, handler, arguments)
            elif plan_of(handler).idempotency:
                raise ImproperlyConfiguredException(f"{method} {route.path}: no answer of this kind can be given again")
    return found


def is_bounded(data: FieldDefinition | None) -> bool:
    """Whether its bounds stand in `Body(…)`, which Litestar judges, and not in its type."""
    definition = data.kwarg_definition if data is not None else None
    return isinstance(definition, KwargDefinition) and definition.is_constrained


def _is_plain(handler: HTTPRouteHandler, app: Litestar) -> bool:
    asks_for_more = (
        has_hooks(handler)
        or handler.cache
        or handler.resolve_guards()
        or handler.resolve_response_headers()
        or handler.resolve_response_cookies()
        or handler.resolve_data_dto()
        or handler.resolve_return_dto()
        or handler.resolve_exception_handlers() != app.exception_handlers
        or len(handler.resolve_middleware()) != len(app.middleware)
    )
    return not asks_for_more and _answers_plainly(handler) and _takes_json(handler)


def _answers_plainly(handler: HTTPRouteHandler) -> bool:
    annotation = handler.parsed_fn_signature.return_type.annotation
    answered = get_origin(annotation) or annotation
    is_struct = isinstance(answered, type) and issubclass(answered, msgspec.Struct)
    if handler.status_code == HTTP_204_NO_CONTENT:
        return answered is type(None)
    return is_struct and handler.media_type == MediaType.JSON


def _takes_json(handler: HTTPRouteHandler) -> bool:
    return not (taken := body_rule(handler).media_types) or JSON in taken
