"""The lane in step: whatever is submitted, cancelled, refused, torn or killed, no answer reaches the wrong request.

`LANE_FUZZ_SEED` repeats the draws of a run that failed, though not the moments of the network.
"""

import asyncio
import gc
import os
from collections.abc import Iterator
from random import SystemRandom

import psycopg
import pytest

from tenantry.db.lane import fast_lane
from tenantry.db.lane.pipeline import Group, PipelineConnection
from tenantry.db.lane.query import Terms
from tenantry.testing.databases import DatabaseUrls, TestDatabases
from tests.faults.lane_fuzz import KINDS, TABLES, LaneFuzz, open_files
from tests.faults.lanes import backends, conninfo_of, open_lane, settle
from tests.faults.poolers import PROGRAMS, running
from tests.faults.wire import open_wire

ENDINGS = {"answered", "cancelled", "OutcomeUnknown", "terminate", "22012", "23503", "23505", "42501", "42601", "42P01"}
SMALL = KINDS.keys() - {"large answer", "large parameter"}


@pytest.fixture(scope="module")
def urls(databases: TestDatabases, worker_id: str) -> Iterator[DatabaseUrls]:
    with databases.clone(f"lane_fuzz_{worker_id}") as urls:
        with psycopg.connect(urls.conninfo) as connection:
            connection.execute(TABLES)
        yield urls


@pytest.fixture
def seed() -> int:
    return int(os.environ.get("LANE_FUZZ_SEED") or SystemRandom().getrandbits(32))


@pytest.mark.slow
@pytest.mark.parametrize(("part", "connections"), [*enumerate((1, 2, 3, 3))])
async def test_every_answer_is_ones_own(urls: DatabaseUrls, seed: int, part: int, connections: int) -> None:
    """Of 100,000 groups, many cancelled, refused or killed, each gets its own answer within its tenant, and an end.

    Afterwards every connection is in step, and no task, file or backend is left.
    """
    name = f"fuzz {seed} {part}"
    gc.collect()  # what tests before this one left may close its files at any moment
    tasks, files = asyncio.all_tasks(), open_files()
    async with open_lane(conninfo_of(urls.runtime), name, connections=connections, queue=30) as lane:
        fuzz = LaneFuzz(lane, urls.conninfo, name, seed)
        await fuzz.run(25_000)

    assert [] == fuzz.faults, f"seed {seed}, {fuzz.outcomes}"
    assert set() == ENDINGS - fuzz.outcomes.keys()
    assert tasks == await settle(tasks, asyncio.all_tasks)
    assert files >= open_files()
    assert set() == await settle(set(), lambda: backends(urls.conninfo, name))


@pytest.mark.parametrize(("largest_piece", "breaks"), [(7, 0.0003), (300, 0.005), (None, 0.02)])
async def test_torn_wire(urls: DatabaseUrls, seed: int, largest_piece: int | None, breaks: float) -> None:
    """However small the pieces are in which bytes come, and within whatever message the connection breaks."""
    name = f"wire {seed} {largest_piece}"
    async with open_wire(conninfo_of(urls.runtime), seed) as wire, open_lane(wire.conninfo, name, queue=30) as lane:
        wire.largest_piece, wire.breaks = largest_piece, breaks
        fuzz = LaneFuzz(lane, urls.conninfo, name, seed, kinds=SMALL)
        await fuzz.run(1500, calm=wire.repair)

    assert [] == fuzz.faults, f"seed {seed}, {fuzz.outcomes}"
    assert wire.opened > 4


async def test_without_prepared_statements(urls: DatabaseUrls, seed: int) -> None:
    """The same holds for the lane as it is behind a pooler."""
    name = f"plain {seed}"
    async with open_lane(conninfo_of(urls.runtime), name, queue=30, terms=Terms(prepares=False)) as lane:
        fuzz = LaneFuzz(lane, urls.conninfo, name, seed)
        await fuzz.run(3000)

    assert [] == fuzz.faults, f"seed {seed}, {fuzz.outcomes}"


@pytest.mark.parametrize("program", PROGRAMS)
async def test_behind_a_pooler(urls: DatabaseUrls, seed: int, program: str) -> None:
    """And behind a pooler in transaction mode, where every group may meet another connection to the server."""
    name = f"pooled {seed}"
    with running(program, urls) as pooler:
        async with open_lane(pooler.conninfo(), name, queue=30, terms=None) as lane:
            fuzz = LaneFuzz(lane, urls.conninfo, name, seed)
            await fuzz.run(3000)

    assert [] == fuzz.faults, f"seed {seed}, {fuzz.outcomes}"


class LosesPlaceOfCancelled(PipelineConnection):
    def _receive(self) -> None:
        kept = [group for group in self._waiting if not group.answered.done()]
        self._waiting.clear()
        self._waiting.extend(kept)
        super()._receive()


class CountsOneLess(PipelineConnection):
    def _take_answers(self, group: Group) -> bool:
        return super()._take_answers(group) or len(group.results) == group.closed + len(group.parsed) + len(group.steps)


class EndsWithFailure(PipelineConnection):
    def _take_answers(self, group: Group) -> bool:
        return super()._take_answers(group) or group.failure is not None


@pytest.mark.parametrize("fault", [LosesPlaceOfCancelled, CountsOneLess, EndsWithFailure])
async def test_fuzzing_finds(
    urls: DatabaseUrls, seed: int, monkeypatch: pytest.MonkeyPatch, fault: type[PipelineConnection]
) -> None:
    """The proofs above are worth something: a connection with a planted fault does not pass them."""
    monkeypatch.setattr(fast_lane, "PipelineConnection", fault)
    name = f"planted {seed}"
    async with open_wire(conninfo_of(urls.runtime), seed) as wire, open_lane(wire.conninfo, name, queue=30) as lane:
        wire.largest_piece = 50
        fuzz = LaneFuzz(lane, urls.conninfo, name, seed, kinds=SMALL, patience=0.5)
        await fuzz.run(1000, calm=wire.repair)

    assert fuzz.faults, f"seed {seed}"
