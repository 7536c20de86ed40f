"""Two tenants do random things with everything that the service offers, and a model says what each must see then.

The model knows no slice: what a list of a tenant shows is what it showed before, and what the tenant has created since,
less what went with something that it deleted. Whatever one of them does, the other's lists stay the same to the byte.
"""

import asyncio
from collections.abc import Iterator, Set
from typing import Any
from uuid import UUID

import httpx
import msgspec
import pytest
from hypothesis import HealthCheck, strategies
from hypothesis import settings as bounds
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from tenantry.config import Settings
from tenantry.http.policy import Allow
from tenantry.testing import TenantHandle
from tenantry.testing.databases import TestDatabases
from tests.faults.planted import Served, serving
from tests.isolation.operations import Contract, Operation

EXAMPLES, STEPS = 20, 20
SIDES = strategies.sampled_from((0, 1))
NUMBERS = strategies.integers(0, 10_000)
Shown = dict[str, bytes]
"""Of one list: what stands in it, by id."""


class Stage:
    """The service, on an event loop that stands still between two steps."""

    def __init__(self, settings: Settings) -> None:
        self._runner, self._over = asyncio.Runner(), asyncio.Event()
        self.served: Served = self.run(self._begin(settings))
        self.contract = Contract(self.served.app)
        allowed = [each for each in self.contract.operations if isinstance(each.policy, Allow)]
        self.lists = [each for each in allowed if each.method == "GET" and self._is_list(each)]
        self.of_rows = [each for each in allowed if each.parameters]
        self.others = [each for each in allowed if not each.parameters and each not in self.lists]
        self.steps = 0

    def run(self, work: Any) -> Any:
        return self._runner.run(work)

    def close(self) -> None:
        self._over.set()
        self.run(asyncio.wait([self._serving]))
        self._runner.close()
        self._serving.result()

    def call(self, tenant: TenantHandle, operation: Operation, ids: dict[str, str] | None = None) -> httpx.Response:
        api = self.served.api.as_(tenant.owner)
        answer: httpx.Response = self.run(self.contract.call(api, operation, ids or {}))
        return answer

    def tenant(self) -> TenantHandle:
        tenant: TenantHandle = self.run(self.served.world.tenant())
        return tenant

    async def _begin(self, settings: Settings) -> Served:
        begun: asyncio.Future[Served] = asyncio.get_running_loop().create_future()

        async def serve() -> None:
            """A lifespan has to end in the task in which it began."""
            async with serving(settings) as served:
                begun.set_result(served)
                await self._over.wait()

        self._serving = asyncio.create_task(serve())
        return await begun

    def _is_list(self, operation: Operation) -> bool:
        answer = self.call(self.tenant(), operation) if not operation.parameters else None
        return answer is not None and "json" in answer.headers["content-type"] and "items" in answer.json()


class Side:
    """One tenant: what its owner saw in each list when they last looked."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.tenant = stage.tenant()
        self.shown: dict[str, Shown] = {}
        self.shown = self.look() or {}

    def look(self) -> dict[str, Shown] | None:
        """None when this tenant is not let in any more: it has been deleted, or its owner has given it away."""
        found = {}
        for operation in self.stage.lists:
            answer = self.stage.call(self.tenant, operation)
            if answer.status_code in (401, 403):
                return None
            assert answer.status_code == 200, f"{operation}: {answer.text}"
            found[operation.path] = {key_of(item): msgspec.json.encode(item) for item in answer.json()["items"]}
        return found

    def row(self, operation: Operation, number: int) -> str | None:
        """The id of one of its rows that the operation could be about."""
        ids = [key for key in self.shown.get(operation.path.partition("/{")[0], {}) if is_id(key)]
        return ids[number % len(ids)] if ids else None

    @property
    def ids(self) -> set[str]:
        return {key for shown in self.shown.values() for key in shown if is_id(key)}


def key_of(item: dict[str, Any]) -> str:
    """Its id, or that of what it is about; what has none is the same for all tenants, and has a name."""
    return str(item.get("id") or next((item[name] for name in item if name.endswith("_id")), None) or item["name"])


def is_id(key: str) -> bool:
    return len(key) == len(str(UUID(int=0)))


class TwoTenants(RuleBasedStateMachine):
    stage: Stage

    def __init__(self) -> None:
        super().__init__()
        self.sides = [Side(self.stage), Side(self.stage)]

    @rule(side=SIDES, number=NUMBERS)
    def create(self, side: int, number: int) -> None:
        """Or do whatever else needs no row, such as a change of the tenant itself."""
        operation = self.stage.others[number % len(self.stage.others)]
        answer = self.stage.call(self.sides[side].tenant, operation)
        assert answer.status_code < 500, f"{operation}: {answer.text}"
        document = answer.json() if answer.status_code == 201 else {"items": []}
        self._compare(side, operation, {key_of(item) for item in document.get("items", [document])})

    @rule(side=SIDES, number=NUMBERS, which=NUMBERS)
    def act_on_own(self, side: int, number: int, which: int) -> None:
        operation = self.stage.of_rows[number % len(self.stage.of_rows)]
        if (id := self.sides[side].row(operation, which)) is not None:
            answer = self.stage.call(self.sides[side].tenant, operation, {operation.parameters[0]: id})
            assert answer.status_code < 500, f"{operation}: {answer.text}"
            self._compare(side, operation)

    @rule(side=SIDES, number=NUMBERS, which=NUMBERS)
    def act_on_the_others(self, side: int, number: int, which: int) -> None:
        operation = self.stage.of_rows[number % len(self.stage.of_rows)]
        if (id := self.sides[1 - side].row(operation, which)) is not None:
            answer = self.stage.call(self.sides[side].tenant, operation, {operation.parameters[0]: id})
            assert answer.status_code == 404, f"{operation}: {answer.status_code} {answer.text}"
            self._compare(side, operation, may_change=False)

    @rule(side=SIDES, number=NUMBERS)
    def read_on_where_the_other_stopped(self, side: int, number: int) -> None:
        """A cursor is a place in an order, and no key to what stands there."""
        operation = self.stage.lists[number % len(self.stage.lists)]
        mine, theirs = self.sides[side], self.sides[1 - side]
        page = {"params": {"limit": 1}}
        path = f"/{operation.path}"
        first = self.stage.run(self.stage.served.api.as_(theirs.tenant.owner).get(path, **page))
        if first.is_success and (cursor := first.json()["next_cursor"]):
            api = self.stage.served.api.as_(mine.tenant.owner)
            answer = self.stage.run(api.get(path, params={"cursor": cursor}))
            assert {key_of(item) for item in answer.json().get("items", ())} <= mine.shown[operation.path].keys()

    def _compare(
        self, acting: int, operation: Operation, created: Set[str] = frozenset(), *, may_change: bool = True
    ) -> None:
        """After a step: the other sees what it saw; who acted sees in addition what was created, and nothing else."""
        self.stage.steps += 1
        mine, theirs = self.sides[acting], self.sides[1 - acting]
        assert theirs.look() == theirs.shown, f"{operation} has changed what the other tenant sees"
        seen = mine.look()
        if seen is None:
            assert may_change, f"{operation} on a foreign row has taken the tenant away"
            self.sides[acting] = Side(self.stage)
            return
        if not may_change:
            assert seen == mine.shown, f"{operation} on a foreign row has changed something"
        for path, before in mine.shown.items():
            new, gone = seen[path].keys() - before.keys(), before.keys() - seen[path].keys()
            is_made_here = path in (operation.path, operation.path.removesuffix("/bulk"))
            assert new == (created if is_made_here else set()), f"{operation}: {new} in {path}"
            assert not gone or operation.method == "DELETE", f"{operation}: {gone} gone from {path}"
        mine.shown = seen
        assert set() == mine.ids & theirs.ids


@pytest.fixture(scope="module")
def stage(
    databases: TestDatabases, worker_id: str, settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stage]:
    with databases.clone(f"{worker_id}_machine") as urls:
        home = str(tmp_path_factory.mktemp("machine"))
        stage = Stage(msgspec.structs.replace(settings, home=home, database_url=urls.runtime))
        yield stage
        stage.close()


def test_each_tenant_sees_exactly_its_own(stage: Stage) -> None:
    """Whatever two tenants do, in whatever order, each sees what it has made itself, and not even a trace of more."""

    class Machine(TwoTenants):
        pass

    Machine.stage = stage
    limits = bounds(
        max_examples=EXAMPLES, stateful_step_count=STEPS, deadline=None, database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    run_state_machine_as_test(Machine, settings=limits)

    assert stage.lists
    assert stage.steps > EXAMPLES
