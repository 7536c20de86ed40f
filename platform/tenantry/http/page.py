"""The query parameters of every list: `?limit`, `?cursor`, `?sort=-created_at`, `?include_total`."""

from typing import Annotated

from litestar.params import Parameter

from tenantry.db.page import PageRequest

__all__ = ("page_request",)

LARGEST_PAGE = 200


def page_request(
    limit: Annotated[int, Parameter(ge=1, le=LARGEST_PAGE, description="Items on a page")] = 50,
    cursor: Annotated[str | None, Parameter(description="`next_cursor` of the page before", max_length=1024)] = None,
    sort: Annotated[
        str | None, Parameter(description="Field to sort by; `-` before it for descending", max_length=64)
    ] = None,
    include_total: Annotated[bool, Parameter(description="Count all items as well")] = False,
) -> PageRequest:
    return PageRequest(limit, cursor, sort, include_total)
