"""One run from an empty folder to its results: databases, contenders, and the measurements one after the other."""

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic

from tenantry.config import Settings
from tenantry.security.passwords import hasher_of
from tenantry.testing.databases import DatabaseUrls
from tests.load import footprint, wrk
from tests.load.contest import Entrant, check_equal, entrants, races
from tests.load.dataset import PASSWORD, Size, members, project_ids
from tests.load.generator import call
from tests.load.growth import SMALL, cast_of, growth_races, late_pages_of
from tests.load.lineup import FASTAPI, SERVICE, SESSION, Lineup
from tests.load.logins import LOGINS, burst
from tests.load.machine import Layout, busy_seconds, facts, layout, tree_seconds
from tests.load.plan import CLIENTS, Plan
from tests.load.processes import started, wait_for
from tests.load.results import Results
from tests.load.rounds import Load, Race
from tests.load.scenarios import PROJECTS, Cast
from tests.load.server import Server, connected, postgres

__all__ = ("Run",)

READERS = WRITERS = 10
MAIN = Size(tenants=READERS + WRITERS, rows=20_000)
PROJECTS_EACH = 100
WARM_SECONDS = 1.0
LOGGING_IN = SERVICE, SESSION, FASTAPI
Say = Callable[[str], None]


class Run:
    def __init__(self, plan: Plan, folder: Path, admin_url: str | None, say: Say) -> None:
        self.plan, self.folder, self.admin_url, self.say = plan, folder, admin_url, say
        self.layout = layout()
        self.load = Load(plan.generator, self.layout, folder)
        self.password_hash = hasher_of(Settings()).hash(PASSWORD)
        self.results = Results(plan=plan, began=datetime.now(UTC).isoformat(timespec="seconds"), machine=facts())
        self.postgres_pid: int | None = None
        self.results.pinned, self.results.generator = self.layout.says(), self.load.name

    def results_of_all(self) -> Results:
        began = monotonic()
        self.measure_capacity()
        durability = {} if self.plan.fsync else {"fsync": "off", "synchronous_commit": "off"}
        with postgres(self.folder, self.admin_url, durability) as server:
            self.results.postgres, self.postgres_pid = server.facts(), server.pid
            with server.filled("main", MAIN, self.password_hash) as urls:
                server.pin(self.layout.postgres)
                self.contest(urls)
                if self.plan.workers:
                    server.pin(self.layout.every)
                    self.compare_workers(urls)
            if self.plan.rows:
                self.measure_growth(server)
        if self.plan.starts:
            self.say("The first answer of `tenantry run`")
            self.results.first_answer_seconds = footprint.first_answer_seconds(self.folder / "start", self.plan.starts)
        self.results.seconds = monotonic() - began
        return self.results

    def measure_capacity(self) -> None:
        """What the generators can deliver; a contender near that would only measure them."""
        command = (sys.executable, "-m", "tests.load.contenders.trivial", "{port}")
        with started(command, {}, self.folder / "trivial", self.layout.server) as server:
            wait_for(server, "/")
            calls = [call("GET", f"{PROJECTS}/{number:036}", server.host, "x" * 400) for number in range(1000)]
            for name in ["bundled", *(["wrk"] if wrk.available() else [])]:
                sample = Load(name, self.layout, self.folder).measure(
                    server, calls, clients=CLIENTS, seconds=self.plan.seconds, warm_up=self.plan.warm_up
                )
                self.results.capacity[name] = sample.requests / sample.seconds
        shown = ", ".join(f"{name} {most:,.0f} requests a second" for name, most in self.results.capacity.items())
        self.say(f"The generators can deliver: {shown}; this run uses {self.load.name}")

    def contest(self, urls: DatabaseUrls) -> None:
        lineup = Lineup(urls, self.folder / "home")
        chosen = [c for c in lineup.all() if not self.plan.contenders or c.name in self.plan.contenders]
        self.results.contenders = {contender.name: contender.about for contender in chosen}
        self.say(f"Starting {', '.join(self.results.contenders)}")
        with entrants(chosen, self.folder, self.layout.server) as found:
            cast = main_cast(urls)
            check_equal(found, cast)
            self.say("All give the same answers")
            inner, outer = (races(self.plan, found, cast, outer=outer) for outer in (False, True))
            self.drive("contest", inner, self.plan.rounds, [urls], outer)
            self.results.contest += [cell for race in (*inner, *outer) for cell in race.cells]
            self.results.memory = {e.name: footprint.memory_of_workers(e.server) for e in found}
            self.let_log_in(found, cast)

    def let_log_in(self, found: Sequence[Entrant], cast: Cast) -> None:
        people = [*cast.readers, *cast.writers][:LOGINS]
        for number in range(self.plan.bursts):
            self.say(f"{LOGINS} logins at once, burst {number + 1} of {self.plan.bursts}")
            for entrant in found:
                if entrant.contender.logs_in:
                    seen = burst(entrant.server, people, self.layout.generator)
                    self.results.logins.setdefault(entrant.name, []).append(seen)

    def drive(
        self, what: str, often: Sequence[Race], rounds: int, databases: Iterable[DatabaseUrls] = (),
        seldom: Sequence[Race] = (),
    ) -> None:  # fmt: skip
        """Between the rounds the server clears up, so that it does not while it is measured."""
        ours = [os.getpid(), *([self.postgres_pid] if self.postgres_pid else [])]
        began, busy, known = monotonic(), busy_seconds(), tree_seconds(ours)
        step = max(rounds // self.plan.outer_rounds, 1)
        for number in range(rounds):
            self.say(f"{what.capitalize()}: round {number + 1} of {rounds}")
            for urls in databases:
                with connected(urls) as connection:
                    connection.execute("VACUUM (ANALYZE) projects")
                    connection.execute("CHECKPOINT")
            for race in often:
                race.round(number, self.load, seconds=self.plan.seconds, warm_up=self.plan.warm_up)
            for race in seldom if number % step == 0 else ():
                race.round(number // step, self.load, seconds=self.plan.seconds, warm_up=self.plan.warm_up)
        if self.postgres_pid and monotonic() > began + 1:
            unknown = busy_seconds() - busy - (tree_seconds(ours) - known)
            self.results.strangers[what] = unknown / (monotonic() - began)

    def compare_workers(self, urls: DatabaseUrls) -> None:
        """Nothing is pinned: two workers must have what one leaves over."""
        every = Layout(*[self.layout.every] * 4)
        home, cast = self.folder / "home-workers", main_cast(urls)
        contenders = [
            Lineup(urls, home).service(name, "", TENANTRY_WORKERS=str(workers))
            for name, workers in (("1 worker", 1), ("2 workers", 2))
        ]
        pinned, self.load.layout = self.load.layout, every
        with entrants(contenders, self.folder / "workers", every.server) as found:
            lists = [
                Race(scenario, CLIENTS, {e.name: (e.server, e.calls(scenario, cast)) for e in found})
                for scenario in ("get", "list", "post")
            ]
            self.drive("workers", lists, self.plan.outer_rounds, [urls])
            self.results.memory |= {e.name: footprint.memory_of_workers(e.server) for e in found}
        self.load.layout = pinned
        self.results.workers = [cell for race in lists for cell in race.cells]

    def measure_growth(self, server: Server) -> None:
        large = Size(self.plan.tenants, self.plan.rows, has_big_tenant=True)
        server.pin(self.layout.every)
        self.say(f"Loading {large.says()}")
        with self.databases(server, [SMALL, large]) as urls:
            server.pin(self.layout.postgres)
            lineups = {size: Lineup(of, self.folder / f"home-{size.rows}") for size, of in urls.items()}
            services = [lineup.service(size.says(), "") for size, lineup in lineups.items()]
            with entrants(services, self.folder / "growth", self.layout.server) as found:
                late = late_pages_of(urls[large], lineups[large].vault)
                casts = [cast_of(of, size) for size, of in urls.items()]
                lists = growth_races(list(zip(urls, found, casts, strict=True)), late)
                for race in lists:
                    race.warm(self.load, WARM_SECONDS)
                self.drive("growth", lists, self.plan.growth_rounds)
        self.results.growth = [cell for race in lists for cell in race.cells]

    @contextmanager
    def databases(self, server: Server, sizes: Sequence[Size]) -> Iterator[dict[Size, DatabaseUrls]]:
        first, second = sizes
        with (
            server.filled("small", first, self.password_hash) as small,
            server.filled("large", second, self.password_hash) as large,
        ):
            yield {first: small, second: large}


def main_cast(urls: DatabaseUrls) -> Cast:
    readers, writers = members(range(READERS)), members(range(READERS, READERS + WRITERS))
    with connected(urls) as connection:
        return Cast(readers, writers, project_ids(connection, [*readers, *writers], PROJECTS_EACH))
