"""psycopg against asyncpg: the measurement behind ADR 0004. Only the ratios mean something.

asyncpg and uvloop are no dependencies of this project, so run it elsewhere; it makes the table `driver_benchmark`.
A ratio is time of the one named to that of asyncpg, 1 is as fast: median (least-most).
    pip install 'sqlalchemy[asyncio]' 'psycopg[binary]' asyncpg uvloop
    python tests/load/driver_benchmark.py 'postgresql://postgres@127.0.0.1/scratch'
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from importlib import import_module
from statistics import median
from time import perf_counter, process_time
from typing import Any
from uuid import UUID

import psycopg
from psycopg import pq
from sqlalchemy import Column, Table, Text, Uuid, func, select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import registry

ROUNDS, OPERATIONS = 31, 160  # short turns, so that a change of the machine's speed meets all contenders
TENANT, ROW = UUID(int=7), UUID(int=7 * 65_536)
BIND = "SELECT set_config('app.tenant_id', {}, true)"
ONE = "SELECT tenant_id, id, name FROM driver_benchmark WHERE id = {}"
CREATE = """
    DROP TABLE IF EXISTS driver_benchmark; CREATE TABLE driver_benchmark AS
    SELECT lpad(to_hex(t), 32, '0')::uuid AS tenant_id, lpad(to_hex(t * 65536 + i), 32, '0')::uuid AS id, 'x' AS name
    FROM generate_series(1, 200) t, generate_series(0, 49) i;
    ALTER TABLE driver_benchmark ADD PRIMARY KEY (id), ADD UNIQUE (tenant_id, id); ANALYZE driver_benchmark;
"""
Operation = Callable[[], Awaitable[Any]]
REGISTRY = registry()
KEYS = Column("tenant_id", Uuid()), Column("id", Uuid(), primary_key=True)
ITEMS = Table("driver_benchmark", REGISTRY.metadata, *KEYS, Column("name", Text()))
Item = type("Item", (), {})
REGISTRY.map_imperatively(Item, ITEMS)
BIND_FIRST = select(func.set_config("app.tenant_id", str(TENANT), True))
STATEMENTS = {
    f"{size} {kind}": select(*columns).where(where)
    for kind, columns in {"as row": [*ITEMS.c], "as object": [Item]}.items()
    for size, where in {"one": ITEMS.c.id == ROW, "50": ITEMS.c.tenant_id == TENANT}.items()
}


def sqlalchemy(engine: AsyncEngine, statement: Any) -> Operation:
    async def operation() -> None:
        async with AsyncSession(engine) as session, session.begin():
            await session.execute(BIND_FIRST)
            (await session.execute(statement)).all()

    return operation


def raw_psycopg(connection: Any) -> list[Operation]:
    async def single() -> None:
        await (await connection.execute(ONE.format("%s"), (ROW,), binary=True)).fetchone()

    async def separate() -> None:
        async with connection.transaction():
            await connection.execute(BIND.format("%s"), (str(TENANT),))
            await single()

    async def pipeline() -> None:
        async with connection.pipeline():  # until its Sync, one implicit transaction
            await connection.execute(BIND.format("%s"), (str(TENANT),))
            cursor = await connection.execute(ONE.format("%s"), (ROW,), binary=True)
        await cursor.fetchone()

    return [single, separate, pipeline]


def raw_asyncpg(connection: Any) -> list[Operation]:
    async def single() -> None:
        await connection.fetchrow(ONE.format("$1"), ROW)

    async def separate() -> None:
        async with connection.transaction():
            await connection.fetchval(BIND.format("$1"), str(TENANT))
            await single()

    return [single, separate]


def libpq_pipeline(connection: Any) -> Operation:
    """The same group without psycopg's cursors: what a lane of our own would send."""
    libpq, readable = connection.pgconn, asyncio.Event()
    libpq.prepare(b"bind", BIND.format("$1").encode())
    libpq.prepare(b"one", ONE.format("$1").encode())
    libpq.enter_pipeline_mode()
    asyncio.get_running_loop().add_reader(libpq.socket, readable.set)

    async def operation() -> None:
        libpq.send_query_prepared(b"bind", [str(TENANT).encode()])
        libpq.send_query_prepared(b"one", [ROW.bytes], param_formats=[1], result_format=1)
        libpq.pipeline_sync()
        while True:
            await readable.wait()
            readable.clear()
            libpq.consume_input()
            while not libpq.is_busy():
                if (result := libpq.get_result()) and result.status == pq.ExecStatus.PIPELINE_SYNC:
                    return

    return operation


async def turn(workers: Sequence[Operation]) -> tuple[float, float]:  # seconds: elapsed, and computed by this process
    async def work(operation: Operation) -> None:
        for _ in range(OPERATIONS // len(workers)):
            await operation()

    elapsed, computed = perf_counter(), process_time()
    await asyncio.gather(*map(work, workers))
    return perf_counter() - elapsed, process_time() - computed


async def measure(case: str, rivals: Mapping[str, Sequence[Operation]]) -> None:
    turns = [[await turn(workers) for workers in rivals.values()] for _ in range(ROUNDS + 1)][1:]
    for index, name in list(enumerate(rivals))[1:]:
        for clock, kind in enumerate(("elapsed", "client CPU")):
            ratios = sorted(times[index][clock] / times[0][clock] for times in turns)
            report = f"{kind:10} {median(ratios):.2f} ({ratios[0]:.2f}-{ratios[-1]:.2f})"
            sys.stdout.write(f"{case:27} {name:17} {report}\n")


async def main(url: str, clients: int) -> None:
    engines = {
        d: create_async_engine(url.replace("://", f"+{d}://"), pool_size=clients) for d in ("asyncpg", "psycopg")
    }
    ours = [await psycopg.AsyncConnection.connect(url, autocommit=True) for _ in range(2 * clients)]
    theirs = [await import_module("asyncpg").connect(url) for _ in range(clients)]
    await ours[0].execute(CREATE)
    for case, statement in STATEMENTS.items():
        rivals = {name: [sqlalchemy(engine, statement)] * clients for name, engine in engines.items()}
        await measure(f"{clients} clients, {case}", rivals)
    single, separate, pipeline = zip(*map(raw_psycopg, ours[:clients]), strict=True)
    their_single, their_separate = zip(*map(raw_asyncpg, theirs), strict=True)
    await measure(f"{clients} clients, raw one", {"asyncpg": their_single, "psycopg": single})
    groups = {"asyncpg": their_separate, "psycopg": separate, "psycopg pipeline": pipeline}
    groups["libpq pipeline"] = tuple(map(libpq_pipeline, ours[clients:]))
    await measure(f"{clients} clients, raw bind + one", groups)


if __name__ == "__main__":
    for number in (1, 16):
        import_module("uvloop").run(main(sys.argv[1], number))
