"""Media types: which ones a route takes as a body, and whether a caller takes what it gives."""

from functools import lru_cache
from http import HTTPStatus

from litestar.enums import HttpMethod, RequestEncodingType
from litestar.handlers import HTTPRouteHandler
from litestar.types import Scope

from tenantry.errors import AppError

__all__ = ("JSON", "MERGE_PATCH", "NotAcceptable", "UnsupportedMediaType", "refuse_content_type", "taken_types",
           "unacceptable")  # fmt: skip

JSON, MERGE_PATCH = RequestEncodingType.JSON.value, "application/merge-patch+json"
ADVERTISED = {HttpMethod.POST: "Accept-Post", HttpMethod.PATCH: "Accept-Patch"}


class UnsupportedMediaType(AppError):
    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    code = "unsupported_media_type"
    title = "The body is of a type that is not taken here"


class NotAcceptable(AppError):
    """The problem that says so is sent as one, whatever the caller accepts."""

    status = HTTPStatus.NOT_ACCEPTABLE
    code = "not_acceptable"
    title = "The answer is of a type that you do not accept"


def taken_types(handler: HTTPRouteHandler) -> tuple[str, ...]:
    """Of its body; none where it takes none. Every PATCH with JSON is a merge patch, RFC 7396."""
    data = handler.parsed_fn_signature.parameters.get("data")
    if data is None:
        return ()
    declared = RequestEncodingType(getattr(data.kwarg_definition, "media_type", None) or JSON).value
    is_patch = declared == JSON and HttpMethod.PATCH in handler.http_methods
    return (JSON, MERGE_PATCH) if is_patch else (declared,)


@lru_cache(maxsize=1024)
def refuse_content_type(given: bytes, taken: tuple[str, ...], method: str) -> None:
    """
    Raises:
        UnsupportedMediaType: another type, or one in another character set than UTF-8.
    """
    name, *parameters = given.decode("latin-1").lower().split(";")
    charsets = [each.partition("=")[2].strip(' "') for each in parameters if each.strip().startswith("charset")]
    if name.strip() not in taken or any(charset not in ("utf-8", "us-ascii") for charset in charsets):
        header = ADVERTISED.get(HttpMethod(method)) if method in HttpMethod.__members__ else None
        advertised = {header: ", ".join(taken)} if header else {}
        raise UnsupportedMediaType(f"Send the body as {' or '.join(taken)}, in UTF-8.", headers=advertised)


def unacceptable(scope: Scope, produced: str | None) -> NotAcceptable | None:
    """Where `Accept` leaves out what the route produces."""
    if produced is None:
        return None
    accepted = b""
    for name, value in scope["headers"]:
        if name == b"accept":
            accepted = accepted + b"," + value if accepted else value
    return NotAcceptable(f"It is {produced}.") if accepted and not is_accepted(accepted, produced) else None


@lru_cache(maxsize=1024)
def is_accepted(accepted: bytes, produced: str) -> bool:
    """RFC 9110: the most specific range decides. What is no range counts for nothing."""
    essence = produced.partition(";")[0].strip()
    ranks = {"*/*": 1, f"{essence.partition('/')[0]}/*": 2, essence: 3}
    best, quality = 0, 1.0
    for each in accepted.decode("latin-1").lower().split(","):
        wanted, *parameters = (part.strip() for part in each.split(";"))
        rank = ranks.get(wanted, 0)
        if rank > best:
            best, quality = rank, quality_of(parameters)
    return best > 0 and quality > 0


def quality_of(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return float(value)
            except ValueError:
                return 1.0
    return 1.0
