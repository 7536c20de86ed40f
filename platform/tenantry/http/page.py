"""The query parameters of every list: paging, sorting, and what its repository declares in `listing`.

    @get(opt=allow(READ) | lists(ProjectRepository))
    async def list(self, projects: Projects, page: PageQuery) -> Page[Project]:
        return await projects.page(page)

They are read here and not by Litestar, so that an unknown one is refused, and so that a list goes the short way.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Any, NamedTuple
from urllib.parse import parse_qsl, quote, urlencode
from uuid import UUID

import msgspec
from litestar.di import NamedDependency
from litestar.handlers import BaseRouteHandler
from litestar.types import Scope
from msgspec import Meta

from tenantry.db.listing import Condition, Listing, value_of
from tenantry.db.page import PageRequest, Position
from tenantry.db.repository import Repository
from tenantry.errors import BadRequest
from tenantry.http.policy import Allow, policy_of
from tenantry.http.problems import FieldError
from tenantry.security.cursors import CursorSeal

__all__ = ("PAGING", "PageQuery", "about_list", "link_of", "listing_of", "lists", "page_request")

LARGEST_PAGE = 200
MOST_PARAMETERS = 50
MOST_KNOWN = 256
OPT_KEY = "lists"
PageQuery = NamedDependency[PageRequest]
PAGING: dict[str, Any] = {
    "limit": Annotated[int, Meta(ge=1, le=LARGEST_PAGE, description="Items on a page; 50 unless told")],
    "cursor": Annotated[str, Meta(max_length=2048, description="`next_cursor` of the page before, or of a `Link`")],
    "sort": Annotated[str, Meta(max_length=64, description="Field to sort by; `-` before it for descending")],
    "include_total": Annotated[bool, Meta(description="Count all items as well")],
    "search": Annotated[str, Meta(min_length=1, max_length=200, description="Free text")],
}
FREE = PAGING.keys() - {"search"}
"""What may change from page to page, or is told apart."""
PLAIN = FREE - {"cursor"}


quoted = lru_cache(maxsize=256)(quote)


class InvalidParameter(BadRequest):
    code = "invalid_parameter"
    title = "A parameter is missing or not valid"


class UnknownParameter(BadRequest):
    code = "unknown_parameter"
    title = "The list has no such parameter"


class InvalidSort(BadRequest):
    code = "invalid_sort"
    title = "The list cannot be sorted like this"


class Asked(NamedTuple):
    """What a query says, without whose list it is asked of."""

    given: dict[str, str]
    paging: dict[str, Any]
    conditions: tuple[Condition, ...]
    kept: str
    """What the addresses of other pages repeat of it: all but the cursor."""


KNOWN: dict[tuple[Listing, bytes], Asked] = {}
"""Queries that come again and again, for they say nothing that is anybody's: they search and filter nothing."""


class PageLinks(NamedTuple):
    """Of one request, and what they repeat of it."""

    request: PageRequest
    path: str
    kept: str

    def header(self) -> str:
        """RFC 8288: the first page, and the neighbours of this one that there are."""
        path, request = quoted(self.path), self.request
        first = f"{path}?{self.kept}" if self.kept else path
        found, other = f'<{first}>; rel="first"', f"{first}{'&' if self.kept else '?'}cursor="
        if request.previous_cursor is not None:
            found += f', <{other}{request.previous_cursor}>; rel="prev"'
        if request.next_cursor is not None:
            found += f', <{other}{request.next_cursor}>; rel="next"'
        return found


class ListRoute(NamedTuple):
    listing: Listing
    is_of_tenant: bool
    """Else of the person who asks."""


def lists(repository: type[Repository[Any, Any]]) -> dict[str, Any]:
    """For `opt` of a handler: what its `page` may ask for."""
    return {OPT_KEY: repository}


def listing_of(handler: BaseRouteHandler) -> Listing | None:
    """None where the handler has no pages.

    Raises:
        ValueError: it takes a `page` and does not say of what.
    """
    repository = handler.opt.get(OPT_KEY)
    if repository is None and "page" in handler.parsed_fn_signature.parameters:
        raise ValueError(f"{handler}: a list says opt=allow(…) | lists(ItsRepository)")
    return repository.listing if repository is not None else None


@lru_cache(maxsize=1024)
def _route(handler: BaseRouteHandler) -> ListRoute:
    listing = listing_of(handler)
    assert listing is not None
    return ListRoute(listing, isinstance(policy_of(handler), Allow))


def page_request(scope: Scope, cursors: NamedDependency[CursorSeal]) -> PageRequest:
    """
    Raises:
        InvalidParameter: `errors` names each.
        UnknownParameter: what the list has instead is in `detail`.
        InvalidCursor: it was made for something else.
    """
    listing, is_of_tenant = _route(scope["route_handler"])
    query = scope["query_string"]
    asked = KNOWN.get((listing, query)) or _asked(query, listing)
    paging = asked.paging
    sort = paging.get("sort", f"-{listing.sort[0]}")
    if sort.removeprefix("-") not in listing.sort:
        raise InvalidSort(f"Sort by one of: {', '.join(listing.sort)}; with `-` before it for descending.")
    principal = scope["user"]
    owner = principal.tenant_id if is_of_tenant else principal.subject_id
    about = about_list(scope["path_template"], owner, sort, asked.given)
    position = None
    if (cursor := paging.get("cursor")) is not None:
        position = msgspec.json.decode(cursors.open(cursor, about), type=Position)
    request = PageRequest(
        limit=paging.get("limit", 50),
        sort=sort,
        seal=lambda position: cursors.close(msgspec.json.encode(position), about),
        position=position,
        include_total=paging.get("include_total", False),
        conditions=asked.conditions,
        search=paging.get("search"),
    )
    scope["state"]["links"] = PageLinks(request, scope["path"], asked.kept)
    return request


def about_list(template: str, owner: UUID, sort: str, given: Mapping[str, str]) -> Any:
    """What a cursor is good for: one list of one owner in one order, with one set of filters."""
    return template, owner, sort, sorted((name, text) for name, text in given.items() if name not in FREE)


def link_of(scope: Scope) -> tuple[bytes, bytes]:
    """The header of an answer that is a page, which has left its links in the scope."""
    links: PageLinks = scope["state"]["links"]
    return b"link", links.header().encode()


def _asked(query: bytes, listing: Listing) -> Asked:
    """
    Raises:
        InvalidParameter, UnknownParameter
    """
    given = _given(query, listing) if query else {}
    paging, conditions = _judged(given, listing)
    kept = urlencode({name: text for name, text in given.items() if name != "cursor"}, quote_via=quote, safe="[],:")
    asked = Asked(given, paging, conditions, kept)
    if given.keys() <= PLAIN:
        if len(KNOWN) >= MOST_KNOWN:
            del KNOWN[next(iter(KNOWN))]
        KNOWN[listing, query] = asked
    return asked


def _given(query: bytes, listing: Listing) -> dict[str, str]:
    """The parameters, each once."""
    try:
        pairs = parse_qsl(query.decode(), keep_blank_values=True, errors="strict", max_num_fields=MOST_PARAMETERS)
    except ValueError as error:
        raise InvalidParameter("The query is not UTF-8, or has too many parameters.") from error
    known = [name for name in PAGING if name != "search" or listing.search is not None] + [*listing.parameters]
    if unknown := [name for name in dict(pairs) if name not in known]:
        faults = [FieldError("There is no such parameter.", parameter=name) for name in unknown]
        raise UnknownParameter(f"There are: {', '.join(known)}.", errors=msgspec.to_builtins(faults))
    given: dict[str, str] = {}
    repeated: dict[str, FieldError] = {}
    for name, text in pairs:
        if name not in given:
            given[name] = text
        elif name in listing.parameters and listing.parameters[name].operator.takes_many:
            # Many generated clients know no other way to send several values.
            given[name] += f",{text}"
        else:
            repeated[name] = FieldError("Given more than once.", parameter=name)
    if repeated:
        raise InvalidParameter(errors=msgspec.to_builtins([*repeated.values()]))
    return given


def _judged(given: dict[str, str], listing: Listing) -> tuple[dict[str, Any], tuple[Condition, ...]]:
    paging: dict[str, Any] = {}
    conditions: list[Condition] = []
    faults: list[FieldError] = []
    for name, text in given.items():
        try:
            if name in PAGING:
                paging[name] = msgspec.convert(text, PAGING[name], strict=False)
            else:
                conditions.append(Condition(name, value_of(listing.parameters[name], text)))
        except (ValueError, OverflowError) as error:  # what msgspec says is a ValueError, too
            faults.append(FieldError(f"{error}.", parameter=name))
    if faults:
        raise InvalidParameter(errors=msgspec.to_builtins(faults))
    return paging, tuple(sorted(conditions, key=lambda condition: condition.parameter))
