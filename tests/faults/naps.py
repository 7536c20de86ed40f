"""A slice whose statements take as long as a request asks for; the fast lane takes all of them."""

import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import msgspec
import psycopg

from tenantry.config import Settings
from tenantry.testing.databases import DatabaseUrls
from tests.faults.planted import Served, planted_slice, serving

__all__ = ("SLACK", "Timed", "napping", "plant_naps", "timed")

SLACK = 0.7
"""Seconds that a busy machine may add to any answer."""
TABLES = """
CREATE VIEW naps AS SELECT n AS milliseconds, pg_sleep(n / 1000.0)::text AS slept FROM generate_series(0, 9999) AS n;
CREATE TABLE kept_naps (id uuid PRIMARY KEY, milliseconds int NOT NULL);
CREATE FUNCTION nap() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN PERFORM pg_sleep(NEW.milliseconds / 1000.0); RETURN NEW; END $$;
CREATE TRIGGER nap BEFORE INSERT ON kept_naps FOR EACH ROW EXECUTE FUNCTION nap();
GRANT SELECT ON naps TO tenantry_app;
GRANT SELECT, INSERT ON kept_naps TO tenantry_app;
"""
PLUGIN = """
import asyncio
from uuid import UUID

from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Stream
from sqlalchemy import Column, Integer, MetaData, Table, Text, Uuid, bindparam, insert, select, text

from features.projects.permissions import READ, WRITE
from tenantry.db.session import UnitOfWork
from tenantry.feature import Feature
from tenantry.http.policy import allow

Work = NamedDependency[UnitOfWork]
METADATA = MetaData()
NAPS = Table("naps", METADATA, Column("milliseconds", Integer, primary_key=True), Column("slept", Text))
KEPT = Table("kept_naps", METADATA, Column("id", Uuid, primary_key=True), Column("milliseconds", Integer))
NAP = select(NAPS.c.milliseconds).where(NAPS.c.milliseconds == bindparam("milliseconds"), NAPS.c.slept == "")
KEEP = insert(KEPT).values(id=bindparam("id", type_=Uuid), milliseconds=bindparam("milliseconds", type_=Integer))


class NapController(Controller):
    path = "/naps"

    @get("/{milliseconds:int}", opt=allow(READ))
    async def nap(self, milliseconds: FromPath[int], unit_of_work: Work) -> list[int]:
        return await unit_of_work.structs(NAP, int, {"milliseconds": milliseconds})

    @post("/{milliseconds:int}/{nap_id:uuid}", opt=allow(WRITE))
    async def keep(self, milliseconds: FromPath[int], nap_id: FromPath[UUID], unit_of_work: Work) -> None:
        await unit_of_work.write(KEEP, {"id": nap_id, "milliseconds": milliseconds})

    @get("/hanging/{lane:str}", opt=allow(READ))
    async def hang(self, lane: FromPath[str], unit_of_work: Work) -> None:
        if lane == "session":
            await unit_of_work.scalar(text("SELECT 1"))
        else:
            await unit_of_work.structs(NAP, int, {"milliseconds": 0})
        await asyncio.sleep(60)

    @get("/stream/{milliseconds:int}", opt=allow(READ))
    async def stream(self, milliseconds: FromPath[int], unit_of_work: Work) -> Stream:
        await unit_of_work.structs(NAP, int, {"milliseconds": 0})

        async def parts():
            for _ in range(4):
                await asyncio.sleep(milliseconds / 4000)
                yield "part "

        return Stream(parts())


feature = Feature("naps", controllers=[NapController])
"""


class Timed(NamedTuple):
    status: int
    code: str | None
    seconds: float
    answer: httpx.Response


async def timed(request: Awaitable[httpx.Response]) -> Timed:
    began = time.monotonic()
    answer = await request
    code = None if answer.is_success else answer.json()["code"]
    return Timed(answer.status_code, code, time.monotonic() - began, answer)


def plant_naps(urls: DatabaseUrls) -> None:
    with psycopg.connect(urls.conninfo) as connection:
        connection.execute(TABLES)


@asynccontextmanager
async def napping(settings: Settings, urls: DatabaseUrls, folder: Path, **changed: Any) -> AsyncIterator[Served]:
    """Serves the slice, beside that of projects, on a database that `plant_naps` has prepared."""
    one = {"database_lane_connections": 1, "database_fast_lane": True, "database_url": urls.runtime}
    with planted_slice(folder, "planted_naps", PLUGIN) as features:
        async with serving(msgspec.structs.replace(settings, **(one | changed)), features=features) as served:
            yield served
