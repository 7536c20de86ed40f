"""What is sent through a connection of the fast lane, and what that connection can keep."""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

__all__ = ("Query", "Step", "Terms")


class Query(msgspec.Struct, frozen=True):
    """SQL with `$1` parameters; `name` is the same for the same text."""

    name: bytes
    text: bytes
    types: tuple[int, ...] = ()
    """Of the parameters, by OID; 0 where the text itself tells."""


Step = tuple[Query, Sequence[bytes | None]]
"""A query and the values of its parameters in PostgreSQL's text format."""


class Terms(NamedTuple):
    """What a connection keeps for its groups, and what each has to bring along."""

    prepares: bool = True
    preamble: Sequence[Step] = ()
    one_at_a_time: bool = False
    """A group leaves once the one before it is answered."""
