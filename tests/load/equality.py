"""All contenders must answer the same before anything is measured: the same status, fields, values and order."""

import http.client
import json
from collections.abc import Callable, Container
from datetime import datetime
from typing import Any
from uuid import uuid4

from tests.load.dataset import PAGE, Member
from tests.load.processes import Running
from tests.load.rounds import Failed
from tests.load.scenarios import PROJECTS, Cast

__all__ = ("check_answers",)

OWN = "id", "name", "created_at", "updated_at"
"""What differs between two projects that were created the same way."""


def check_answers(name: str, server: Running, token: Callable[[Member], str], cast: Cast, expected: list[Any]) -> None:
    """Raises `Failed` where the answers are not `expected`, which the first contender fills."""
    found = answers(server, token, cast)
    if not expected:
        expected += found
    if different := [(mine, theirs) for mine, theirs in zip(found, expected, strict=True) if mine != theirs]:
        raise Failed(f"{name} answers otherwise: {different[0][0]!r}, not {different[0][1]!r}")


def answers(server: Running, token: Callable[[Member], str], cast: Cast) -> list[Any]:
    """To each kind of request; what no two answers can share is replaced by its type."""
    reader, writer = cast.readers[0], cast.writers[0]
    project = cast.projects[reader][0]

    def ask(
        member: Member, method: str, path: str, data: object = None, expecting: Container[int] = (200, 201)
    ) -> tuple[int, Any]:
        status, body = exchange(server, token(member), method, path, data)
        if status not in expecting:
            raise Failed(f"{method} {path}: {status} {body}")
        return status, body

    first = ask(reader, "GET", f"{PROJECTS}?limit={PAGE}")
    cursor = first[1]["next_cursor"]
    second = ask(reader, "GET", f"{PROJECTS}?limit={PAGE}&cursor={cursor}")
    created = ask(writer, "POST", PROJECTS, {"name": f"Equal {uuid4()}", "description": "The same"})
    changed = ask(writer, "PATCH", f"{PROJECTS}/{created[1]['id']}", {"description": "Changed"})
    pages = [(status, page["items"], type(page["next_cursor"])) for status, page in (first, second)]
    return [
        ask(reader, "GET", f"{PROJECTS}/{project}"),
        ask(writer, "GET", f"{PROJECTS}/{project}", expecting=(404,))[0],
        *pages,
        *((status, {**body, **{field: type(body[field]) for field in OWN}}) for status, body in (created, changed)),
    ]


def exchange(server: Running, token: str, method: str, path: str, data: object) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    try:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        connection.request(method, path, json.dumps(data) if data else None, headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read(), object_hook=with_times)
    finally:
        connection.close()


def with_times(read: dict[str, Any]) -> dict[str, Any]:
    """`…Z` and `…+00:00` are the same moment."""
    return {k: datetime.fromisoformat(v) if k.endswith("_at") and v else v for k, v in read.items()}
