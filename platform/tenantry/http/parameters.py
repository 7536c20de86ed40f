"""The query parameters of a list as the OpenAPI document shows them."""

import re
from collections.abc import Iterator
from typing import Any

import msgspec
from litestar.openapi.spec import Parameter, Schema
from litestar.openapi.spec.enums import OpenAPIType

from tenantry.db.listing import Listing
from tenantry.http.page import PAGING

__all__ = ("parameters_of",)


def parameters_of(listing: Listing) -> Iterator[Parameter]:
    for name, type_ in PAGING.items():
        schema = schema_of(type_)
        if name == "sort":
            schema.enum = [prefix + field for field in listing.sort for prefix in ("-", "")]
            schema.default = schema.enum[0]
        if name != "search":
            yield parameter(name, schema)
        elif listing.search is not None:
            yield parameter(name, schema, listing.search.__doc__ or "")
    for name, each in listing.parameters.items():
        schema = schema_of(each.type)
        says = each.says or each.operator.says
        if each.operator.takes_many:
            schema = Schema(type=OpenAPIType.ARRAY, items=schema, min_items=1, max_items=each.operator.most)
            yield parameter(name, schema, says, style="form", explode=False)
        else:
            yield parameter(name, schema, says)


def parameter(name: str, schema: Schema, says: str = "", **form: Any) -> Parameter:
    says, schema.description = says or schema.description or "", None
    return Parameter(name, "query", schema, description=f"{says.rstrip('.')}.", **form)


def schema_of(type_: Any) -> Schema:
    """Of a type that stands for one value."""
    found = msgspec.json.schema(type_)
    named = {re.sub("[A-Z]", lambda letter: f"_{letter[0].lower()}", key): value for key, value in found.items()}
    return Schema(**named | {"type": OpenAPIType(named.get("type", "string"))})
