"""What ETags and idempotency keys add to a hot request, in turn with them switched off.

    .venv/bin/python -m tests.load.conditions

The application is called in this process, one request after the other; PostgreSQL runs beside it. What takes turns are
batches of requests, and what is shown is the median of the differences of neighbours.
"""

import asyncio
import json
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Any
from unittest.mock import patch

from litestar import Litestar
from rich.console import Console
from rich.table import Table
from sqlalchemy import bindparam

from features.projects.models import ProjectRow
from features.projects.repository import ProjectRepository
from tenantry.app import create_app
from tenantry.config import Settings
from tenantry.db.lane.statement import constant
from tenantry.db.repository import Repository
from tenantry.db.versions import Versions
from tenantry.feature import API_PREFIX
from tenantry.http.visit import Visit
from tenantry.security.plugin import SecurityPlugin
from tenantry.testing import World
from tenantry.testing.databases import TestDatabases

ROUNDS, CALLS = 20, 50
PATH = f"{API_PREFIX}/projects"
PLAIN = constant(ProjectRepository.views.where(ProjectRow.id == bindparam("id")))
Send = Callable[[int], Awaitable[None]]
numbers = count()


async def plain_get(self: Any, id: Any) -> Any:
    """As it was without versions."""
    found = await self.unit_of_work.structs(PLAIN, self.view_type, {"id": id})
    if not found:
        raise self.not_found
    return found[0]


@contextmanager
def without_versions() -> Iterator[None]:
    """Nothing is noted, tagged or looked up in headers; PostgreSQL still has the column."""
    with (
        patch.object(Repository, "get", plain_get),
        patch.object(Repository, "_noted", lambda self, _, *values: self.view_type(*values)),
        patch("tenantry.http.ways.conditional", lambda answer, *_, **__: answer),
        patch.object(Versions, "of", lambda *_: None),
        patch("tenantry.http.visit.precondition_of", lambda *_: None),
    ):
        yield


@contextmanager
def without_keys() -> Iterator[None]:
    with patch.object(Visit, "expect_key", lambda *_: None):
        yield


class Client:
    def __init__(self, app: Litestar, token: str) -> None:
        self.app, self.token = app, token

    async def send(self, method: str, path: str, body: Any = None, **headers: str) -> dict[str, Any]:
        payload = b"" if body is None else json.dumps(body).encode()
        lines = {"host": "testserver", "authorization": f"Bearer {self.token}", "content-type": "application/json"}
        raw = [(name.encode(), value.encode()) for name, value in {**lines, **headers}.items()]
        scope: Any = {
            "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1", "method": method,
            "scheme": "http", "path": path, "raw_path": path.encode(), "root_path": "", "query_string": b"",
            "headers": raw, "client": ("127.0.0.1", 1), "server": ("testserver", 80), "state": {},
        }  # fmt: skip
        sent: list[Any] = []

        async def receive() -> Any:
            return {"type": "http.request", "body": payload, "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        await self.app(scope, receive, send)
        assert sent[0]["status"] < 400, sent
        answer: dict[str, Any] = json.loads(sent[1]["body"] or b"{}")
        return answer


async def timed(send: Send) -> tuple[float, float]:
    """Microseconds of one request: on the clock, and of this process."""
    clock, processor = perf_counter(), process_time()
    for number in range(CALLS):
        await send(number)
    return (perf_counter() - clock) / CALLS * 1e6, (process_time() - processor) / CALLS * 1e6


async def compared(table: Table, what: str, on: Send, off: Send, switch: Any = None) -> None:
    """`switch` is what switches it off, where both send the same."""
    pairs = []
    for _ in range(ROUNDS):
        with_it = await timed(on)
        if switch is None:
            pairs.append((with_it, await timed(off)))
            continue
        with switch():
            pairs.append((with_it, await timed(off)))
    off_clock, off_processor = (median(each[1][kind] for each in pairs) for kind in (0, 1))
    clock, processor = (median(each[0][kind] - each[1][kind] for each in pairs) for kind in (0, 1))
    table.add_row(what, f"{off_clock:.0f}", f"{clock:+.1f}", f"{off_processor:.0f}", f"{processor:+.1f}")


async def main() -> None:
    table = Table("request", "off, µs", "on adds", "off, µs of the process", "on adds")
    with tempfile.TemporaryDirectory(prefix="tenantry-") as home:
        databases = TestDatabases(Path(home), "conditions", None)
        with databases.server(), databases.clone("measured") as urls:
            app = create_app(Settings(home=home, database_url=urls.runtime, log_format="json", log_level="warning"))
            async with app.lifespan():
                world = World(app.state.database, app.plugins.get(SecurityPlugin).tokens, "x")
                await measure(table, Client(app, (await world.tenant()).owner.token))
    Console().print(table)


async def measure(table: Table, client: Client) -> None:
    path = f"{PATH}/{(await client.send('POST', PATH, {'name': 'Apollo'}))['id']}"

    async def get(_: int) -> None:
        await client.send("GET", path)

    async def change(number: int) -> None:
        await client.send("PATCH", path, {"description": f"{next(numbers)}"})

    async def matched(number: int) -> None:
        await client.send("PATCH", path, {"description": f"{next(numbers)}"}, **{"if-match": "*"})

    async def post(_: int) -> None:
        await client.send("POST", PATH, {"name": f"project {next(numbers)}"})

    async def keyed(_: int) -> None:
        number = str(next(numbers))
        await client.send("POST", PATH, {"name": f"project {number}"}, **{"idempotency-key": number})

    async def replayed(_: int) -> None:
        await client.send("POST", PATH, {"name": "replayed"}, **{"idempotency-key": "replayed"})

    await compared(table, "GET, versions", get, get, without_versions)
    await compared(table, "POST, versions", post, post, without_versions)
    await compared(table, "PATCH, versions", change, change, without_versions)
    await compared(table, "PATCH with If-Match", matched, change)
    await compared(table, "POST, keys taken, none sent", post, post, without_keys)
    await compared(table, "POST with a new key", keyed, post)
    await compared(table, "POST with a used key", replayed, post)


if __name__ == "__main__":
    asyncio.run(main())
