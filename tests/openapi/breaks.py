"""What of a released OpenAPI document a newer one breaks, for a client that was written by the released one.

Clients ignore fields of answers that they do not know; all else that was promised holds: operations and their ids, ways
to sign in, permissions, parameters, what is taken, and what is answered. Whether one schema takes all that another does
is judged by jsoncompat.
"""

import json
from collections.abc import Iterator
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Annotated, Any

import msgspec
from jsoncompat import check_compat
from msgspec import Meta

__all__ = ("Declaration", "breaks_between", "faults_of")

Document = dict[str, Any]
Schema = dict[str, Any]
WORDS = frozenset({"title", "description", "examples", "example", "default", "deprecated"})
"""Members of a schema that promise nothing."""
UNJUDGED = ("format", "pattern")
"""jsoncompat reads over them."""


def breaks_between(old: Document, new: Document) -> list[str]:
    """Such as `POST /api/v1/projects request /name: takes less`."""
    found = []
    for path, item in old["paths"].items():
        for method, operation in item.items():
            where = f"{method.upper()} {path}"
            if (newer := new["paths"].get(path, {}).get(method)) is None:
                found.append(f"{where}: is gone")
            else:
                found += [f"{where}{each}" for each in Operation(old, new, operation, newer).breaks()]
    return found


class Declaration(msgspec.Struct, forbid_unknown_fields=True):
    what: str
    """A break as it is told; `*` stands for anything."""
    reason: Annotated[str, Meta(min_length=10)]


def faults_of(breaks: list[str], declarations: list[Declaration]) -> list[str]:
    """Breaks that nobody has declared, and declarations of what is none."""
    undeclared = [each for each in breaks if not any(fnmatchcase(each, of.what) for of in declarations)]
    idle = [of.what for of in declarations if not any(fnmatchcase(each, of.what) for each in breaks)]
    return undeclared + [f"declared, and not so: {what}" for what in idle]


class Operation:
    """The released one, and what has become of it."""

    def __init__(self, old_document: Document, new_document: Document, old: Document, new: Document) -> None:
        self._documents = old_document, new_document
        self.old, self.new = old, new

    def breaks(self) -> Iterator[str]:
        old, new = self.old, self.new
        if old["operationId"] != new["operationId"]:
            yield f": its id is {new['operationId']} now"
        if old.get("x-permission") != new.get("x-permission"):
            yield f": asks for {new.get('x-permission')} in place of {old.get('x-permission')}"
        if new["security"] and any(each not in new["security"] for each in old["security"] or [{}]):
            yield ": takes fewer ways to sign in"
        yield from self._parameters()
        yield from self._request()
        yield from self._answers()

    def _parameters(self) -> Iterator[str]:
        old, new = (
            {(each["in"], each["name"]): each for each in of.get("parameters", ())} for of in (self.old, self.new)
        )
        for (place, name), each in old.items():
            newer = new.get((place, name))
            if newer is None:
                yield f" {place} {name}: is gone"
                continue
            if newer["required"] and not each["required"]:
                yield f" {place} {name}: is required now"
            if any(each.get(form) != newer.get(form) for form in ("style", "explode")):
                yield f" {place} {name}: is written in another way"
            yield from self._schemas(f" {place} {name}", each["schema"], newer["schema"], is_sent=True)
        for place, name in new.keys() - old.keys():
            if new[place, name]["required"]:
                yield f" {place} {name}: is new and required"

    def _request(self) -> Iterator[str]:
        old, new = self.old.get("requestBody"), self.new.get("requestBody")
        if old is None or new is None:
            if new is not None and new["required"]:
                yield " request: is new and required"
            if old is not None:
                yield " request: is gone"
            return
        if new["required"] and not old["required"]:
            yield " request: is required now"
        yield from self._contents(" request", old, new, is_sent=True)

    def _answers(self) -> Iterator[str]:
        for status, old in self.old["responses"].items():
            new = self.new["responses"].get(status)
            if new is not None:
                for name in old.get("headers", {}).keys() - new.get("headers", {}).keys():
                    yield f" {status} {name}: is gone"
                yield from self._contents(f" {status}", old, new, is_sent=False)
            elif status[0] in "23":
                yield f" {status}: is gone"

    def _contents(self, where: str, old: Document, new: Document, *, is_sent: bool) -> Iterator[str]:
        taken = new.get("content", {})
        for media_type, content in old.get("content", {}).items():
            if media_type not in taken:
                yield f"{where}: is never {media_type} now"
            else:
                yield from self._schemas(where, content["schema"], taken[media_type]["schema"], is_sent=is_sent)

    def _schemas(self, where: str, old: Schema, new: Schema, *, is_sent: bool) -> Iterator[str]:
        before, after = self._documents
        yield from differences(where, whole(old, before, is_sent), whole(new, after, is_sent), is_sent=is_sent)


def whole(value: Any, document: Document, is_sent: bool) -> Any:
    """A schema with what it refers to, and without words; of an answer also without the promise of no more fields."""
    if isinstance(value, list):
        return [whole(each, document, is_sent) for each in value]
    if not isinstance(value, dict):
        return value
    if "$ref" in value:
        return whole(document["components"]["schemas"][value["$ref"].rpartition("/")[2]], document, is_sent)
    members = {name: each for name, each in value.items() if name not in WORDS}
    if not is_sent and members.get("additionalProperties") is False:
        del members["additionalProperties"]
    fields = {name: whole(each, document, is_sent) for name, each in members.pop("properties", {}).items()}
    judged = {name: whole(each, document, is_sent) for name, each in members.items()}
    return judged | ({"properties": fields} if "properties" in value else {})


def differences(where: str, old: Schema, new: Schema, *, is_sent: bool) -> Iterator[str]:
    """Each at its place, as far as both are made alike."""
    if old == new:
        return
    kinds = old.get("type"), new.get("type")
    if kinds == ("object", "object") and "properties" in old and "properties" in new:
        yield from of_objects(where, old, new, is_sent=is_sent)
    elif kinds == ("array", "array") and "items" in old and "items" in new:
        yield from differences(f"{where}/-", old["items"], new["items"], is_sent=is_sent)
        yield from judged(where, old | {"items": {}}, new | {"items": {}}, is_sent=is_sent)
    else:
        yield from judged(where, old, new, is_sent=is_sent)


def of_objects(where: str, old: Schema, new: Schema, *, is_sent: bool) -> Iterator[str]:
    for name, each in old["properties"].items():
        if name not in new["properties"]:
            yield f"{where}/{name}: is gone"
        else:
            yield from differences(f"{where}/{name}", each, new["properties"][name], is_sent=is_sent)
    before, after = ({*each.get("required", ())} for each in (old, new))
    if is_sent:
        yield from (f"{where}/{name}: is required now" for name in sorted(after - before))
    else:
        yield from (
            f"{where}/{name}: may be missing now" for name in sorted((before - after) & new["properties"].keys())
        )


def judged(where: str, old: Schema, new: Schema, *, is_sent: bool) -> Iterator[str]:
    narrow, wide = (new, old) if is_sent else (old, new)
    if any(narrow.get(name) not in (None, wide.get(name)) for name in UNJUDGED):
        yield f"{where}: has another {' or '.join(UNJUDGED)}"
    elif not is_compatible(json.dumps(old), json.dumps(new), is_sent):
        yield f"{where}: takes less" if is_sent else f"{where}: answers more"


@lru_cache(maxsize=4096)
def is_compatible(old: str, new: str, is_sent: bool) -> bool:
    return check_compat(old, new, "deserializer" if is_sent else "serializer")
