"""Keys that an object of a body has twice. Every parser keeps another one of them, so that two that look at the same
body, such as a gateway and this service, see different values: RFC 8259 leaves it open, RFC 7493 forbids it.

msgspec keeps the last and says nothing. Most bodies are one object without others in it: there it is enough that no
field is written twice. Of all others Python's own parser tells.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import islice
from typing import Any

import msgspec
from msgspec import inspect

from tenantry.errors import BadRequest

__all__ = ("DuplicateKey", "refuse_duplicates")

SCALARS = (
    inspect.BoolType, inspect.BytesType, inspect.DateTimeType, inspect.DateType, inspect.DecimalType, inspect.EnumType,
    inspect.FloatType, inspect.IntType, inspect.LiteralType, inspect.NoneType, inspect.StrType, inspect.TimeType,
    inspect.UUIDType,
)  # fmt: skip
MOST_PLACES = 100
"""That an answer names."""


class DuplicateKey(BadRequest):
    """`errors` has the place of each."""

    code = "duplicate_key"
    title = "An object of the body has the same key twice"


class KeyAgain(Exception):
    """There is one, somewhere."""


class Repeating(dict[str, Any]):
    """An object that knows which of its keys were written more than once."""

    keys_again: frozenset[str]


def refuse_duplicates(body: bytes, type_: Any) -> None:
    """`body` is JSON that has been decoded.

    Raises:
        DuplicateKey: with a JSON pointer for each key that comes twice.
    """
    names = _written_names(type_)
    if names is not None and b"\\" not in body:
        for name in names:
            if body.count(name) > 1:
                break
        else:
            return
    elif body.count(b":") < 2:
        return
    text = body.decode()
    try:
        ONCE.decode(text)
    except KeyAgain:
        pointers = islice(_places(AGAIN.decode(text), ""), MOST_PLACES)
        faults = [{"detail": "Given more than once.", "pointer": each} for each in pointers]
        raise DuplicateKey(errors=faults) from None


@lru_cache(maxsize=1024)
def _written_names(type_: Any) -> tuple[bytes, ...] | None:
    """The keys of an object that can have no others and no object below it; None of any other type."""
    if not (isinstance(type_, type) and issubclass(type_, msgspec.Struct)):
        return None
    if not type_.__struct_config__.forbid_unknown_fields:
        return None
    fields = inspect.type_info(type_).fields  # type: ignore[attr-defined]  # type_info is declared as its base class
    if not all(_holds_no_object(field.type) for field in fields):
        return None
    return tuple(msgspec.json.encode(field.encode_name) for field in fields)


def _holds_no_object(type_: inspect.Type) -> bool:
    match type_:
        case inspect.Metadata():
            return _holds_no_object(type_.type)
        case inspect.UnionType():
            return all(_holds_no_object(each) for each in type_.types)
        case inspect.CollectionType():
            return _holds_no_object(type_.item_type)
        case _:
            return isinstance(type_, SCALARS)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise KeyAgain
    return found


def _again(pairs: list[tuple[str, Any]]) -> Repeating:
    found = Repeating(pairs)
    times = Counter(name for name, _ in pairs)
    found.keys_again = frozenset(name for name in found if times[name] > 1)
    return found


def _decoder(of_pairs: Callable[[list[tuple[str, Any]]], Any]) -> json.JSONDecoder:
    """It makes no numbers, which could be of any length."""
    return json.JSONDecoder(object_pairs_hook=of_pairs, parse_int=str, parse_float=str, strict=False)


ONCE, AGAIN = _decoder(_once), _decoder(_again)


def _places(value: Any, below: str) -> Iterator[str]:
    """JSON pointers, RFC 6901."""
    if isinstance(value, Repeating):
        yield from (f"{below}/{_escaped(name)}" for name in value if name in value.keys_again)
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield from _places(child, f"{below}/{_escaped(str(key))}")


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
