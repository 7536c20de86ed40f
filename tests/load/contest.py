"""The contest: contenders started, checked against each other, and measured in one scenario after the other."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import msgspec

from tests.load.dataset import Member
from tests.load.equality import check_answers
from tests.load.generator import Call
from tests.load.lineup import FASTAPI, LIMIT, SERVICE, Contender
from tests.load.plan import CLIENTS, Plan
from tests.load.processes import Running, started, wait_for
from tests.load.rounds import Race
from tests.load.scenarios import Cast, calls_of

__all__ = ("Entrant", "check_equal", "entrants", "races")

MEASURED_WITH_ALL_CLIENTS = {SERVICE, LIMIT, FASTAPI}


class Entrant(msgspec.Struct):
    """A contender that runs."""

    contender: Contender
    server: Running
    tokens: dict[Member, str] = {}

    @property
    def name(self) -> str:
        return self.contender.name

    def token(self, member: Member) -> str:
        if member not in self.tokens:
            self.tokens[member] = self.contender.token(member)
        return self.tokens[member]

    def calls(self, scenario: str, cast: Cast) -> list[Call]:
        return calls_of(scenario, cast, self.server.host, self.token)


@contextmanager
def entrants(contenders: Sequence[Contender], folder: Path, cores: frozenset[int]) -> Iterator[list[Entrant]]:
    """All of them, started at the same time; only one at a time will have something to do."""
    with ExitStack() as stack:
        found = []
        for number, contender in enumerate(contenders):
            process = started(contender.command, contender.environment, folder / f"process-{number}", cores)
            found.append(Entrant(contender, stack.enter_context(process)))
        for entrant in found:
            wait_for(entrant.server, entrant.contender.ready)
        yield found


def check_equal(found: Sequence[Entrant], cast: Cast) -> None:
    expected: list[Any] = []
    for entrant in found:
        check_answers(entrant.name, entrant.server, entrant.token, cast, expected)


def races(plan: Plan, found: Sequence[Entrant], cast: Cast, *, outer: bool) -> list[Race]:
    """With 16 clients; `outer` are those with fewer and with more."""
    chosen = [entrant for entrant in found if not outer or entrant.name in MEASURED_WITH_ALL_CLIENTS]
    entries = {scenario: {e.name: (e.server, e.calls(scenario, cast)) for e in chosen} for scenario in plan.scenarios}
    return [
        Race(scenario, clients, entries[scenario])
        for clients in (plan.outer_clients if outer else (CLIENTS,))
        for scenario in plan.scenarios
    ]
