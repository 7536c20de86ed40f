"""Random groups on a fast lane, disturbed at random moments; every answer must be its own, and every wait must end."""

import asyncio
import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from random import Random
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
from psycopg import AsyncConnection, sql

from tenantry.db.lane.fast_lane import DatabaseBusy, FastLane, LaneClosed, OutcomeUnknown
from tenantry.db.lane.pipeline import ConnectionLost
from tenantry.db.lane.query import Step
from tests.faults.lanes import asked, statement

__all__ = ("TABLES", "Case", "LaneFuzz", "open_files")

TABLES = """
CREATE TABLE kept (token text);
CREATE TABLE marks (token text PRIMARY KEY);
CREATE TABLE children (token text, parent text REFERENCES marks DEFERRABLE INITIALLY DEFERRED);
CREATE FUNCTION refuse() RETURNS void LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'refused' USING ERRCODE = '42501'; END $$;
GRANT SELECT, INSERT ON kept, marks, children TO tenantry_app;
"""
LARGE = 3_000_000
SET = "SELECT set_config('app.tenant_id', $1::text, true)"
KILL = sql.SQL("SELECT {}(pid) FROM pg_stat_activity WHERE application_name = %s ORDER BY random() LIMIT %s")
ECHO = "SELECT $1::text, coalesce(current_setting('app.tenant_id', true), '')"
LOST_OR_FULL = (OutcomeUnknown, LaneClosed, DatabaseBusy)
Check = Callable[[list[Any]], bool]


class Case(NamedTuple):
    kind: str
    steps: Sequence[Step]
    check: Check
    writes: bool = False
    error: str | None = None
    """The SQLSTATE that it must end with."""
    stores: str | None = None
    """The token that is in `kept` once it is answered."""


class LaneFuzz:
    """`faults` says in words what must not be; empty when all is well.

    `name` is that of the lane's backends. Everything must end within `patience` seconds, fewer than those after which
    the lane gives up a silent connection.
    """

    def __init__(
        self, lane: FastLane, admin: str, name: str, seed: int, *, kinds: Iterable[str] = (), patience: float = 8.0
    ) -> None:
        self.lane, self.admin, self.name, self.patience = lane, admin, name, patience
        self.kinds = sorted(kinds or KINDS)
        self.seed, self.random = seed, Random(seed)
        self.faults: list[str] = []
        self.outcomes: Counter[str] = Counter()
        self.stored: list[str] = []
        self.number = self.refused = 0

    async def run(self, rounds: int, *, at_once: int = 48, calm: Callable[[], None] = lambda: None) -> None:
        """`calm` is called before the last proof, that every connection is in step."""
        async with await AsyncConnection.connect(self.admin, autocommit=True) as self.killer:
            self.lock = asyncio.Lock()
            async with asyncio.TaskGroup() as group:
                for _ in range(at_once):
                    group.create_task(self.work(rounds))
        calm()
        if not self.faults:
            await self.check_step()
            self.check_stored()

    async def work(self, rounds: int) -> None:
        """What finds no connection or no place on one is no round."""
        while self.number - self.refused < rounds and len(self.faults) < 20:
            self.number += 1
            case = self.draw(f"{self.seed} {self.number}")
            task = asyncio.create_task(self.lane.run(case.steps, writes=case.writes))
            disturbed = await self.disturb(task)
            await asyncio.wait([task], timeout=self.patience)
            self.judge(case, task, disturbed=disturbed)
            if task.done() and not task.cancelled() and isinstance(task.exception(), LaneClosed | DatabaseBusy):
                self.refused += 1
                await asyncio.sleep(self.random.random() * 0.01)

    async def disturb(self, task: "asyncio.Task[Any]") -> bool:
        """Cancel before it begins, before it is sent, in flight, or over and over, and at times nothing of it."""
        dice = self.random.random()
        if dice > 0.4:
            if dice > 0.998:
                await self.kill()
            return False
        if dice > 0.35:
            task.cancel()
            return True
        for _ in range(self.random.choice((1, 1, 2, 3, 5, 20))):
            await asyncio.sleep(0)
        if dice > 0.15:
            await asyncio.sleep(self.random.random() * 0.01)
        cancelled = task.cancel()
        while dice < 0.05 and not task.done():
            task.cancel()
            await asyncio.sleep(0)
        return cancelled

    async def kill(self) -> None:
        """End one backend of the lane or all of them, or cancel what one is doing."""
        end, count = self.random.choice((("terminate", 1), ("terminate", 1), ("terminate", 9), ("cancel", 1)))
        async with self.lock:
            self.outcomes[end] += 1
            await self.killer.execute(KILL.format(sql.Identifier(f"pg_{end}_backend")), [self.name, count])

    def judge(self, case: Case, task: "asyncio.Task[Any]", *, disturbed: bool) -> None:
        if not task.done():
            self.fault(case, f"has not ended after {self.patience} s")
            task.cancel()
        elif task.cancelled():
            self.outcomes["cancelled"] += 1
            if not disturbed:
                self.fault(case, "was cancelled, but not by whoever waited")
        elif (error := task.exception()) is None:
            self.outcomes["answered"] += 1
            answers = task.result()
            if case.error is not None or len(answers) != len(case.steps) or not case.check(answers):
                self.fault(case, f"answered {[asked(answer) for answer in answers]}")
            elif case.stores is not None:
                self.stored.append(case.stores)
        elif isinstance(error, LOST_OR_FULL):
            self.outcomes[type(error).__name__] += 1
        else:
            state = getattr(error, "sqlstate", None)
            self.outcomes[str(state)] += 1
            if state != case.error and not (state == "57014" and self.outcomes["cancel"]):
                self.fault(case, f"failed with {error!r}")

    def fault(self, case: Case, what: str) -> None:
        self.faults.append(f"{case.kind} {self.number}: {what}"[:300])

    async def check_step(self) -> None:
        """Whatever has happened, each connection answers the next question."""
        answers: list[Any] = []
        for _ in range(100):
            opened = [*self.lane._open]
            groups = [connection.submit([statement(ECHO, f"last {n}")]) for n, connection in enumerate(opened)]
            with suppress(ConnectionLost, TimeoutError):
                async with asyncio.timeout(self.patience):
                    answers = [asked((await group.answered)[0]) for group in groups]
                if len(opened) == self.lane._size:
                    break
            await asyncio.sleep(0.1)
        if answers != [(f"last {number}", "") for number in range(self.lane._size)]:
            self.faults.append(f"in the end answered: {answers}")

    def check_stored(self) -> None:
        with psycopg.connect(self.admin) as connection:
            rows = connection.execute("SELECT token, count(*) FROM kept GROUP BY token").fetchall()
            halves = connection.execute("SELECT count(*) FROM marks, children").fetchone()
        twice = [token for token, count in rows if count > 1]
        lost = set(self.stored) - {token for token, _ in rows}
        self.faults += [f"stored twice: {token}" for token in twice] + [f"lost: {token}" for token in lost]
        if halves != (0,):
            self.faults.append("a part of a failed group is stored")

    def draw(self, token: str) -> Case:
        (kind,) = self.random.choices(self.kinds, [KINDS[kind][0] for kind in self.kinds])
        tenant = str(UUID(int=self.random.getrandbits(128)))
        return KINDS[kind][1](self, kind, token, tenant)


def bound(fuzz: LaneFuzz, kind: str, token: str, tenant: str) -> Case:
    """A tenant's group: the token and the tenant of each answer are its own."""
    number = fuzz.random.choice((1, 1, 1, 2, 6))
    tokens = [f"{token} {n}" for n in range(number)]

    def check(results: list[Any]) -> bool:
        return [asked(result) for result in results] == [(tenant,), *((each, tenant) for each in tokens)]

    return Case(kind, [statement(SET, tenant), *(statement(ECHO, each) for each in tokens)], check)


def unbound(fuzz: LaneFuzz, kind: str, token: str, tenant: str) -> Case:
    """A group that binds none finds none."""
    return Case(kind, [statement(ECHO, token)], lambda results: asked(results[0]) == (token, ""))


def write(fuzz: LaneFuzz, kind: str, token: str, tenant: str) -> Case:
    steps = [statement(SET, tenant), statement("INSERT INTO kept VALUES ($1::text)", token)]

    def check(results: list[Any]) -> bool:
        return [result.command_tuples for result in results] == [1, 1]

    return Case(kind, steps, check, writes=True, stores=token)


def failing(state: str, *texts: str) -> Callable[[LaneFuzz, str, str, str], Case]:
    """What stands before the failure must be undone, and what stands after it must not happen."""

    def case(fuzz: LaneFuzz, kind: str, token: str, tenant: str) -> Case:
        wrong = [statement(text, token) if "$1" in text else statement(text) for text in texts]
        steps = [statement(SET, tenant), *wrong, statement(ECHO, token)]
        return Case(kind, steps, lambda results: False, writes=True, error=state)

    return case


def nap(fuzz: LaneFuzz, kind: str, token: str, tenant: str) -> Case:
    seconds = f"{fuzz.random.random() * 0.005}"
    steps = [statement("SELECT pg_sleep($1::float)", seconds), statement(ECHO, token)]
    return Case(kind, steps, lambda results: asked(results[1]) == (token, ""))


def large_answer(fuzz: LaneFuzz, kind: str, token: str, tenant: str) -> Case:
    steps = [statement(f"SELECT $1::text || repeat('x', {LARGE})", token), statement(ECHO, token)]

    def check(results: list[Any]) -> bool:
        return asked(results[0]) == (token + "x" * LARGE,) and asked(results[1]) == (token, "")

    return Case(kind, steps, check)


def large_parameter(fuzz: LaneFuzz, kind: str, token: str, tenant: str) -> Case:
    steps = [statement("SELECT length($1::text)::text", "x" * LARGE), statement(ECHO, token)]
    return Case(kind, steps, lambda results: asked(results[0]) + asked(results[1]) == (str(LARGE), token, ""))


KINDS: dict[str, tuple[float, Callable[[LaneFuzz, str, str, str], Case]]] = {
    "bound": (40, bound),
    "unbound": (20, unbound),
    "write": (10, write),
    "division": (5, failing("22012", "INSERT INTO marks VALUES ($1::text)", "SELECT 1 / length('')")),
    "twice": (5, failing("23505", *["INSERT INTO marks VALUES ($1::text)"] * 2)),
    "denied": (5, failing("42501", "INSERT INTO marks VALUES ($1::text)", "SELECT refuse()")),
    "orphan": (5, failing("23503", "INSERT INTO children VALUES ('', $1::text)")),
    "syntax": (0.5, failing("42601", "INSERT INTO marks VALUES ($1::text)", "SELEC 1")),
    "no table": (0.5, failing("42P01", "INSERT INTO marks VALUES ($1::text)", "SELECT * FROM nothing")),
    "too slow": (0.1, failing("57014", "SELECT set_config('statement_timeout', '20', true)", "SELECT pg_sleep(2)")),
    "nap": (1, nap),
    "large answer": (0.1, large_answer),
    "large parameter": (0.1, large_parameter),
}


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208  # a Path for each would be one more
