"""What limits of rate cost a hot GET, in turn with none at all.

    .venv/bin/python -m tests.load.limits

The application is called in this process, 16 requests at a time, on a real database and a real Redis; what is measured
is the processor time of the process; all take turns.
"""

import asyncio
import random
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import quantiles
from time import process_time
from typing import Any

import uvloop
from litestar import Litestar
from litestar.types import Scope
from rich.console import Console
from rich.table import Table

from features.projects.tests.factories import ProjectFactory
from tenantry.app import create_app
from tenantry.config import Settings
from tenantry.feature import API_PREFIX
from tenantry.http.gate import GatePlugin
from tenantry.limits.limiter import Limiter, per_minute
from tenantry.limits.local_counter import LocalCounter
from tenantry.limits.rate import Ask, Limit
from tenantry.limits.redis_counter import RedisCounter
from tenantry.security.plugin import SecurityPlugin
from tenantry.security.principal import Principal
from tenantry.testing.databases import TestDatabases
from tenantry.testing.world import World
from tests.contract.redis_server import redis_server

ROUNDS, REQUESTS, AT_ONCE = 105, 160, 16
MANY = 1_000_000


class NoLimiter(Limiter):
    """As if there were none."""

    def __init__(self) -> None:
        super().__init__(LocalCounter())

    async def let_stranger_in(self, scope: Scope, route: Limit | None = None) -> None:
        pass

    def is_known(self, principal: Principal) -> bool:
        return True

    def hear(self, principal: Principal, plan: bytes | None) -> None:
        pass

    def asks_of(self, principal: Principal, route: Limit | None) -> list[Ask]:
        return []


async def measured(settings: Settings, redis_url: str) -> dict[str, float]:
    """In µs of processor time a request: the quarter of the rounds that was disturbed least took at most so long."""
    redis, credential = RedisCounter(redis_url, LocalCounter()), per_minute("credential", MANY)
    limiters = {
        "no limiter": NoLimiter(),
        "nothing set, plan unlimited": Limiter(LocalCounter()),
        "a limit of each credential, one worker": Limiter(LocalCounter(), credential=credential),
        "a limit of each credential, Redis": Limiter(redis, credential=credential),
    }
    app = create_app(settings)
    async with app.lifespan():
        world = World(app.state.database, app.plugins.get(SecurityPlugin).tokens, "none")
        acme = await world.tenant("acme")
        project = await acme.has(ProjectFactory)
        path = f"{API_PREFIX}/projects/{project.id}"
        taken: dict[str, list[float]] = {name: [] for name in limiters}
        for limiter in limiters.values():
            limiter.plans.database = app.state.database
        for _ in range(ROUNDS):
            for name in random.sample(sorted(limiters), len(limiters)):
                app.plugins.get(GatePlugin).gate.limiter = limiters[name]
                taken[name].append(await computed(app, path, acme.owner.token))
    await redis.close()
    return {name: quantiles(times[5:], n=4)[0] for name, times in taken.items()}


async def computed(app: Litestar, path: str, token: str) -> float:
    async def some() -> None:
        for _ in range(REQUESTS // AT_ONCE):
            await call(app, path, token)

    began = process_time()
    await asyncio.gather(*(some() for _ in range(AT_ONCE)))
    return (process_time() - began) / REQUESTS * 1e6


async def call(app: Any, path: str, token: str) -> None:
    headers: Sequence[tuple[bytes, bytes]] = [(b"host", b"x"), (b"authorization", f"Bearer {token}".encode())]
    scope = {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1", "method": "GET",
        "scheme": "http", "path": path, "raw_path": path.encode(), "root_path": "", "query_string": b"",
        "headers": headers, "client": ("127.0.0.1", 1), "server": ("x", 80), "state": {},
    }  # fmt: skip

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        assert message.get("status", 200) == 200, message

    await app(scope, receive, send)


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="tenantry-") as home, redis_server() as (_, redis_url):
        databases = TestDatabases(Path(home), "limits", None)
        with databases.server(), databases.clone("limits") as urls:
            settings = Settings(home=home, database_url=urls.runtime, log_format="json", log_level="warning")
            found = uvloop.run(measured(settings, redis_url))
    table = Table("limits", "µs a GET", "more than none")
    for name, time in found.items():
        table.add_row(name, f"{time:.1f}", f"{time - found['no limiter']:+.1f}")
    Console().print(table)


if __name__ == "__main__":
    main()
