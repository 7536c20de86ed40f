"""Believable data for development: each slice's `seed.py` sows its own, here it gets its order and its means.

A row is a function of its number alone. So a second run finds all of it there, and a larger scale adds the rest.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator
from datetime import UTC, datetime, time
from graphlib import TopologicalSorter
from itertools import islice
from math import ceil
from random import Random
from typing import Any, cast
from uuid import NAMESPACE_URL, UUID, uuid5

import msgspec
from rich.progress import Progress, TaskID
from sqlalchemy import Table
from sqlalchemy.dialects.postgresql import insert

from tenantry.clock import now
from tenantry.config import ConfigurationError, Settings, variable
from tenantry.db.base import Base
from tenantry.db.database import Database
from tenantry.db.session import UnitOfWork
from tenantry.db.standalone import standalone_database
from tenantry.feature import slice_modules

__all__ = ("Account", "Seeder", "Seeding", "Sown", "seed")

NAMESPACE = uuid5(NAMESPACE_URL, "tenantry:seed")
ROWS_PER_BATCH = 1000


class Sown(msgspec.Struct, frozen=True):
    """What slices that come later may know of a row."""

    id: UUID
    name: str
    since: float
    """The smallest scale that has it."""


class Account(msgspec.Struct, frozen=True):
    """One to log in with."""

    email: str
    roles: dict[str, str]
    """By the name of the tenant."""


class Seeding:
    """One run. What slices publish in `sown` stays in the order of `since`."""

    def __init__(self, database: Database, settings: Settings, scale: float, progress: Progress) -> None:
        self.database, self.settings, self.scale = database, settings, scale
        self.today = datetime.combine(now().date(), time(), UTC)
        self.sown: dict[str, list[Sown]] = {}
        self.added: Counter[str] = Counter()
        """Rows that were not there before, by table."""
        self.accounts: list[Account] = []
        self.password = ""
        self._progress = progress
        self._task: TaskID

    def numbers(self, at_scale_one: int, *, least: int = 0) -> Iterator[tuple[int, float]]:
        """The rows to sow: the number of each, and the smallest scale that has it; the first `least` always are."""
        for number in range(max(least, ceil(round(at_scale_one * self.scale, 6)))):
            yield number, 0.0 if number < least else number / at_scale_one

    def known(self, name: str, since: float) -> list[Sown]:
        """Those of `sown` that every scale has which has a row with this `since`."""
        rows = self.sown[name]
        return rows[: bisect_right(rows, since, key=lambda row: row.since)]

    def id(self, table: str, key: object) -> UUID:
        return uuid5(NAMESPACE, f"{table}/{key}")

    def random(self, purpose: str, key: object) -> Random:
        return Random(f"{purpose}/{key}")  # noqa: S311  # nothing secret comes from it

    def begin(self, name: str) -> None:
        self._task = self._progress.add_task(name, total=None)

    def expect(self, rows: int) -> None:
        self._progress.update(self._task, total=rows)

    async def insert(self, unit_of_work: UnitOfWork, table: type[Base], rows: Iterable[dict[str, Any]]) -> None:
        """Add the rows that are not there."""
        # Of a table: the bulk insert of a mapped class does not tell how many rows it added.
        statement = insert(cast("Table", table.__table__)).on_conflict_do_nothing()
        statement = statement.execution_options(preserve_rowcount=True)
        remaining = iter(rows)
        while batch := list(islice(remaining, ROWS_PER_BATCH)):
            self.added[table.__tablename__] += await unit_of_work.execute_many(statement, batch)
            self._progress.advance(self._task, len(batch))


class Seeder(msgspec.Struct, frozen=True):
    """What a slice's `seed.py` declares as `seeder`; `after` names the slices whose rows it builds upon."""

    name: str
    sow: Callable[[Seeding], Awaitable[None]]
    after: tuple[str, ...] = ()


async def seed(package: str, settings: Settings, scale: float, progress: Progress) -> Seeding:
    """Let every slice of `package` sow, as the runtime role, so that row-level security holds as for a request."""
    if settings.is_production:
        raise ConfigurationError(f"{variable('env')}: seeding is for development, and this is production")
    seeders = _in_order(package)
    async with standalone_database(settings) as database:
        seeding = Seeding(database, settings, scale, progress)
        for seeder in seeders:
            seeding.begin(seeder.name)
            await seeder.sow(seeding)
        return seeding


def _in_order(package: str) -> list[Seeder]:
    try:
        found: list[Seeder] = [module.seeder for module in slice_modules(package, "seed")]
    except ModuleNotFoundError as error:
        missing = str(error.name).partition(".")[0]
        if missing not in ("polyfactory", "faker"):
            raise
        raise ConfigurationError(f"No {missing}: run `pip install 'tenantry[dev]'` to seed") from error
    by_name = {seeder.name: seeder for seeder in found}
    return [by_name[name] for name in TopologicalSorter({s.name: s.after for s in found}).static_order()]
