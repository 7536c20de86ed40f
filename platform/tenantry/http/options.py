"""Query parameters that routes of several slices take."""

from typing import Annotated

from litestar.params import QueryParameter

__all__ = ("EndsOthers",)

EndsOthers = Annotated[
    bool, QueryParameter(name="end_other_sessions", description="Whether your other sessions end with the change.")
]
