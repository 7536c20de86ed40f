"""What each thing that watches over a hot request adds to it, in turn with it switched off.

    .venv/bin/python -m tests.load.added_cost

Instructions in user space, counted by callgrind, of a GET and a POST from the bytes of the request to those of the
answer; the least of some rounds, since timers work now and then. PostgreSQL is a process of its own and does not count.
What is switched off is replaced by a call that does nothing, so a little of each remains.
"""

import gc
import json
import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from functools import partial
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time
from typing import Any, NamedTuple
from unittest.mock import patch

import uvloop
from litestar import Litestar
from rich.console import Console
from rich.table import Table

from tenantry.app import create_app
from tenantry.config import Settings
from tenantry.feature import API_PREFIX
from tenantry.http.deadlines import Deadlines
from tenantry.http.doors import Doors
from tenantry.http.gate import GatePlugin
from tenantry.http.guarded import GuardedProtocol
from tenantry.http.protocol import Protocol
from tenantry.limits.limiter import Limiter, per_minute
from tenantry.limits.load import Load
from tenantry.limits.local_counter import LocalCounter
from tenantry.security.plugin import SecurityPlugin
from tenantry.testing.databases import TestDatabases
from tenantry.testing.world import World
from tests.load.callgrind import Counted, run_under_callgrind
from tests.load.conditions import without_keys, without_versions
from tests.load.limits import MANY, NoLimiter
from tests.load.wired import Wire

PATH = f"{API_PREFIX}/projects"
DATABASE, HOME = "ADDED_COST_DATABASE", "ADDED_COST_HOME"
ROUNDS, WARM_UP, CALLS = 5, 150, 15
MODULE = "tests.load.added_cost"
RESULTS, ON, OFF = "results.json", "on", "off"
FIRST = "GET: ETag"
END = b"\r\n\r\n"
numbers = count()
Send = Callable[[], Awaitable[Any]]
Switch = Callable[[], AbstractContextManager[None]]


class Always:
    """A deadline that never comes."""

    expired = False

    def __enter__(self) -> "Always":
        return self

    def __exit__(self, *_: object) -> None:
        pass


@contextmanager
def patched(*patches: Any) -> Iterator[None]:
    with ExitStack() as stack:
        for each in patches:
            stack.enter_context(each)
        yield


def without_depth() -> AbstractContextManager[None]:
    return patched(patch("tenantry.http.request.refuse_depth", lambda _: None))


def without_duplicates() -> AbstractContextManager[None]:
    return patched(patch("tenantry.http.request.refuse_duplicates", lambda *_: None))


def without_types() -> AbstractContextManager[None]:
    return patched(
        patch("tenantry.http.visit.unacceptable", lambda *_: None),
        patch("tenantry.http.request.refuse_content_type", lambda *_: None),
    )


def only_left(load: Load, *, served: bool) -> None:
    load.running -= 1


def without_shedding() -> AbstractContextManager[None]:
    return patched(
        patch.object(Load, "current", None),
        patch.object(Load, "left", only_left),
        patch.object(Doors, "refusal", lambda *_: None),
    )


def without_deadlines() -> AbstractContextManager[None]:
    return patched(patch.object(Deadlines, "start", lambda _: Always()))


@contextmanager
def limited(app: Litestar, limiter: Limiter) -> Iterator[None]:
    gate = app.plugins.get(GatePlugin).gate
    before, gate.limiter = gate.limiter, limiter
    limiter.plans.database = app.state.database
    yield
    gate.limiter = before


def rows(app: Litestar, requests: "Requests", unbounded: "Requests") -> dict[str, tuple[Send, Switch, Send, Switch]]:
    """By what is compared: what is sent with it, and what without."""
    get, post, keyed = requests
    none, credential = partial(limited, app, NoLimiter()), per_minute("credential", MANY)
    one = partial(limited, app, Limiter(LocalCounter(), credential=credential))
    return {
        FIRST: (get, nullcontext, get, without_versions),
        "GET: rate limit, none set": (get, nullcontext, get, none),
        "GET: rate limit, one of the credential": (get, one, get, none),
        "GET: bounds of the head, look at the load": (get, nullcontext, unbounded.get, nullcontext),
        "GET: Accept": (get, nullcontext, get, without_types),
        "GET: count of what is in work, host": (get, nullcontext, get, without_shedding),
        "GET: deadlines": (get, nullcontext, get, without_deadlines),
        "POST: ETag": (post, nullcontext, post, without_versions),
        "POST: bounds of head and depth, look at the load": (post, nullcontext, unbounded.post, without_depth),
        "POST: keys twice": (post, nullcontext, post, without_duplicates),
        "POST: Accept, Content-Type": (post, nullcontext, post, without_types),
        "POST: count of what is in work, host": (post, nullcontext, post, without_shedding),
        "POST: deadlines": (post, nullcontext, post, without_deadlines),
        "POST: idempotency, no key sent": (post, nullcontext, post, without_keys),
        "POST: idempotency, a new key": (keyed, nullcontext, post, nullcontext),
    }


class Requests(NamedTuple):
    get: Send
    post: Send
    keyed: Send
    """With a key that nobody has used."""


@contextmanager
def collected(counted: Counted | None, name: str) -> Iterator[None]:
    with counted(name) if counted is not None else nullcontext():
        yield


async def served(settings: Settings, measure: Callable[[Litestar, Requests, Requests], Awaitable[None]]) -> None:
    """Let `measure` send requests, and the same on a connection whose heads have no bounds."""
    app = create_app(settings)
    async with app.lifespan():
        world = World(app.state.database, app.plugins.get(SecurityPlugin).tokens, "none")
        token = (await world.tenant("acme")).owner.token
        made = await Wire(app, token).send("POST", PATH, {"name": "Apollo"})
        path = f"{PATH}/{json.loads(made.partition(END)[2])['id']}"
        kinds = (GuardedProtocol, Protocol)
        guarded, plain = (requests_on(Wire(app, token, kind), path) for kind in kinds)
        gc.collect()
        gc.disable()
        await measure(app, guarded, plain)


def requests_on(wire: Wire, path: str) -> Requests:
    async def post(headers: str = "") -> None:
        await wire.send("POST", PATH, {"name": f"project {next(numbers):06d}"}, headers)

    async def keyed() -> None:
        await post(f"Idempotency-Key: key-{next(numbers):06d}\r\n")

    return Requests(partial(wire.send, "GET", path), post, keyed)


async def count_instructions(counted: Counted, app: Litestar, requests: Requests, unbounded: Requests) -> None:
    """Under callgrind; the first round is for what is made once."""
    compared = rows(app, requests, unbounded)
    for round_ in range(ROUNDS + 1):
        for name, (on, switched_on, off, switched_off) in compared.items():
            for mode, send, switch in ((ON, on, switched_on), (OFF, off, switched_off)):
                with switch():
                    await times(send, WARM_UP)  # CPython adapts its code to what was switched
                    with collected(counted if round_ else None, f"{name}|{mode}"):
                        await times(send, CALLS)


async def time_of_get(found: list[float], app: Litestar, requests: Requests, _unbounded: Requests) -> None:
    """In µs of processor time, without callgrind; the batch that was disturbed least."""
    await times(requests.get, 200)
    for _ in range(40):
        began = process_time()
        await times(requests.get, 100)
        found.append((process_time() - began) / 100 * 1e6)


async def times(send: Send, number: int) -> None:
    for _ in range(number):
        await send()


def main() -> None:
    with TemporaryDirectory(prefix="tenantry-", ignore_cleanup_errors=True) as home:
        databases = TestDatabases(Path(home), "added", None)
        with databases.server(), databases.clone("added") as urls:
            moments: list[float] = []
            uvloop.run(served(settings_of(urls.runtime, home), partial(time_of_get, moments)))
            run_under_callgrind(MODULE, Path(home), **{DATABASE: urls.runtime, HOME: home})
        found = json.loads(Path(home, RESULTS).read_text())
    instructions: dict[str, list[int]] = {}
    for name, number in found:
        instructions.setdefault(name, []).append(number)
    report({name: min(numbers) / CALLS for name, numbers in instructions.items()}, min(moments))


def report(instructions: dict[str, float], microseconds: float) -> None:
    table = Table("what", "instructions without", "more with it", "share", "about, µs")
    speed = instructions[f"{FIRST}|{ON}"] / microseconds
    for name in dict.fromkeys(each.rpartition("|")[0] for each in instructions):
        on, off = instructions[f"{name}|{ON}"], instructions[f"{name}|{OFF}"]
        table.add_row(
            name, f"{off:,.0f}", f"{on - off:+,.0f}", f"{(on - off) / off:+.1%}", f"{(on - off) / speed:+.1f}"
        )
    says = f"A GET takes {microseconds:.0f} µs of processor time at best, {speed:,.0f} instructions each."
    Console(width=120).print(table, says, sep="\n")


def settings_of(database: str, home: str) -> Settings:
    return Settings(home=home, database_url=database, log_format="json", log_level="warning")


if __name__ == "__main__":
    if DATABASE in os.environ:
        counted = Counted()
        uvloop.run(served(settings_of(os.environ[DATABASE], os.environ[HOME]), partial(count_instructions, counted)))
        Path(os.environ[HOME], RESULTS).write_text(json.dumps(counted.found()))
    else:
        main()
