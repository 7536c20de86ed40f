"""Request bodies: JSON, decoded once and strictly into the handler's Struct, with every fault named at once."""

import re
from functools import lru_cache
from http import HTTPStatus
from math import inf
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import msgspec
from litestar import Request
from litestar.datastructures import State
from litestar.exceptions import InternalServerException
from litestar.exceptions.http_exceptions import RequestEntityTooLarge
from litestar.handlers import HTTPRouteHandler
from litestar.types import Receive, Scope
from msgspec import UnsetType

from tenantry.errors import AppError, BadRequest, Unprocessable
from tenantry.http.deadlines import Deadlines
from tenantry.http.duplicates import refuse_duplicates
from tenantry.http.media import UnsupportedMediaType, refuse_content_type, taken_types
from tenantry.http.problems import CLIENT_LEFT, FieldError
from tenantry.limits.load import Load
from tenantry.security.principal import Principal

__all__ = ("ApiRequest", "body_of", "body_rule", "decode_body")

DEADLINES = Deadlines(seconds=15)
DEEPEST, MOST_BRACKETS = 64, 50_000
STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
INNERMOST = re.compile(rb"\[\]|\{\}")
NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
MOST_FAULTS = 100
"""Of a list that an answer names."""
BODY = "body"
"""Where the state of a scope keeps it."""


class MalformedBody(BadRequest):
    code = "malformed_body"
    title = "The body is not valid JSON"


class BodyTimeout(AppError):
    status = HTTPStatus.REQUEST_TIMEOUT
    code = "body_timeout"
    title = "The body did not arrive in time"


class ApiRequest(Request[Principal, Any, State]):
    """Litestar would accept JSON under any content type, and numbers in strings; this request does not."""

    async def body(self) -> bytes:
        return await body_of(self.scope, self.receive)

    async def json(self) -> Any:
        return decode_body(await self.body(), body_rule(self.route_handler).annotation)


class BodyRule(msgspec.Struct, frozen=True):
    """What a route takes as its body."""

    largest: float
    """In bytes."""
    media_types: tuple[str, ...]
    """None where the handler takes no body."""
    annotation: Any
    is_optional: bool = False


@lru_cache(maxsize=4096)
def body_rule(handler: HTTPRouteHandler) -> BodyRule:
    largest = handler.resolve_request_max_body_size() or inf
    data = handler.parsed_fn_signature.parameters.get("data")
    annotation = Any if data is None else data.annotation
    return BodyRule(largest, taken_types(handler), annotation, is_optional(annotation))


async def body_of(scope: Scope, receive: Receive) -> bytes:
    """Read and checked once, whoever asks."""
    known: bytes | None = scope["state"].get(BODY)
    if known is not None:
        return known
    rule = body_rule(scope["route_handler"])
    if (coding := _header(scope, b"content-encoding").strip().lower()) not in (b"", b"identity"):
        # A few bytes could stand for gigabytes.
        raise UnsupportedMediaType(f"The coding {coding[:32].decode('latin-1')} is not taken; send the body as it is.")
    load = Load.current
    try:
        with DEADLINES.start():
            if load is not None:  # who waits for a client is not in work
                load.running -= 1
            body = await _received(scope, receive, rule.largest)
    except TimeoutError as error:
        raise BodyTimeout from error
    finally:
        if load is not None:
            load.running += 1
    if rule.is_optional and not body:
        body = b"null"
    elif rule.media_types:
        if not body:
            raise MalformedBody("A body is required.")
        refuse_content_type(_header(scope, b"content-type"), rule.media_types, str(scope.get("method")))
    scope["state"][BODY] = body
    return body


async def _received(scope: Scope, receive: Receive, largest: float) -> bytes:
    """As Litestar reads it, within the same limit, without a mapping of headers and a generator."""
    announced = _header(scope, b"content-length")
    if announced.isdigit() and int(announced) > largest:
        raise RequestEntityTooLarge
    received = b""
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise InternalServerException(CLIENT_LEFT)
        received += message["body"]
        if len(received) > largest:
            raise RequestEntityTooLarge
        if not message.get("more_body", False):
            return received


def _header(scope: Scope, wanted: bytes) -> bytes:
    for name, value in scope["headers"]:
        if name == wanted:
            return value
    return b""


def decode_body(body: bytes, type_: Any) -> Any:
    """
    Raises:
        MalformedBody: not JSON, not UTF-8, or nested too deeply.
        DuplicateKey: an object has the same key twice.
        Unprocessable: JSON of another shape; `errors` has a JSON pointer for each fault.
    """
    try:
        try:
            refuse_depth(body)
            decoded = _decoder(type_).decode(body)
        except msgspec.ValidationError as error:
            # The first fault may stand before what is malformed: this decodes all of it.
            faults = _faults(msgspec.json.decode(body), type_, error)
            refuse_duplicates(body, Any)
        else:
            refuse_duplicates(body, type_)
            return decoded
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise MalformedBody from error
    raise Unprocessable(errors=msgspec.to_builtins(faults))


def is_optional(type_: Any) -> bool:
    return get_origin(type_) in (Union, UnionType) and NoneType in get_args(type_)


def refuse_depth(body: bytes) -> None:
    """Nothing here is nested deeply; what recursion can bear depends on what has called it.

    Raises:
        MalformedBody: more than `DEEPEST` levels, or so much of it that looking would take long.
    """
    opened = body.count(b"[") + body.count(b"{")
    if opened <= DEEPEST:
        return
    if opened > MOST_BRACKETS:
        raise MalformedBody(f"It has more than {MOST_BRACKETS} lists and objects.")
    left = STRING.sub(b"", body).translate(None, NO_BRACKETS)
    for _ in range(DEEPEST):
        left = INNERMOST.sub(b"", left)
        if not left:
            return
    raise MalformedBody(f"It is nested more than {DEEPEST} levels deep, or its brackets do not match.")


@lru_cache(maxsize=1024)
def _decoder(type_: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(type_)


def _faults(raw: Any, type_: Any, first: msgspec.ValidationError, below: str = "") -> list[FieldError]:
    """msgspec stops at the first fault; look at each field and each item on its own to find the others."""
    type_ = _composed_of(type_)
    if isinstance(raw, list) and get_origin(type_) is list:
        return _item_faults(raw, get_args(type_)[0], below) or [_fault(first, below)]
    if not isinstance(raw, dict) or not hasattr(get_origin(type_) or type_, "__struct_fields__"):
        return [_fault(first, below)]
    faults: list[FieldError] = []
    fields = msgspec.structs.fields(type_)
    for field in fields:
        pointer = f"{below}/{_escaped(field.encode_name)}"
        if field.encode_name not in raw:
            if field.required:
                faults.append(FieldError("Missing.", pointer))
            continue
        try:
            msgspec.convert(raw[field.encode_name], field.type)
        except msgspec.ValidationError as error:
            faults += _faults(raw[field.encode_name], field.type, error, pointer)
    if (get_origin(type_) or type_).__struct_config__.forbid_unknown_fields:
        unknown = sorted(raw.keys() - {field.encode_name for field in fields})
        faults += [FieldError("There is no such field.", f"{below}/{_escaped(name)}") for name in unknown]
    return faults or [_fault(first, below)]


def _item_faults(raw: list[Any], type_: Any, below: str) -> list[FieldError]:
    faults: list[FieldError] = []
    for number, item in enumerate(raw):
        try:
            msgspec.convert(item, type_)
        except msgspec.ValidationError as error:
            faults += _faults(item, type_, error, f"{below}/{number}")
        if len(faults) >= MOST_FAULTS:
            break
    return faults[:MOST_FAULTS]


def _composed_of(type_: Any) -> Any:
    """Without what can stand in its place, and without bounds: a Struct, or a list of them, if it is one at all."""
    while (origin := get_origin(type_)) in (Annotated, Union, UnionType):
        options = [each for each in get_args(type_) if each not in (NoneType, UnsetType)]
        if origin is not Annotated and len(options) > 1:
            return type_
        type_ = options[0]
    return type_


def _fault(error: msgspec.ValidationError, below: str = "") -> FieldError:
    text, _, path = str(error).partition(" - at `$")
    pointer = below + path.rstrip("`").replace("[", ".").replace("]", "").replace(".", "/")
    return FieldError(f"{text}.", pointer)


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
