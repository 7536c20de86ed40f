"""The query parameters of every list: `?limit`, `?cursor`, `?sort=-created_at`, `?include_total`."""

from typing import Annotated

from litestar.di import NamedDependency
from litestar.params import QueryParameter

from tenantry.db.page import PageRequest

__all__ = ("PageQuery", "page_request")

LARGEST_PAGE = 200
PageQuery = NamedDependency[PageRequest]


def page_request(
    limit: Annotated[int, QueryParameter(ge=1, le=LARGEST_PAGE, description="Items on a page")] = 50,
    cursor: Annotated[
        str | None, QueryParameter(description="`next_cursor` of the page before", max_length=1024)
    ] = None,
    sort: Annotated[
        str | None, QueryParameter(description="Field to sort by; `-` before it for descending", max_length=64)
    ] = None,
    include_total: Annotated[bool, QueryParameter(description="Count all items as well")] = False,
) -> PageRequest:
    return PageRequest(limit, cursor, sort, include_total)
