"""Handlers may run before the database has said that they may: of what they did nothing is kept or told then."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from importlib import import_module
from types import ModuleType
from typing import Any

import httpx
import pytest
from litestar import Litestar

from tenantry.config import Settings
from tenantry.http.plan import _answers_itself as answers_itself
from tenantry.http.plan import plan_of
from tenantry.testing import Api, World, problem
from tests.faults.planted import planted_slice, serving
from tests.isolation.lazy_slice import lazy_slice
from tests.isolation.operations import handlers
from tests.isolation.principals import DEMOTE, DISABLE, EXPIRE, NARROW, REMOVE, REVOKE, SUSPEND, Stage

PACKAGE = "planted_authorization"
HARMLESS = {"catalogue", "unit_of_work", "principal", "visitor"}
"""Of what the platform provides to every handler; by all else it could reach beyond its transaction."""
HARMLESS_ARGUMENTS = ["catalogue", "number", "page", "principal", "projects", "service", "unit_of_work", "visitor"]
OUTWARD = ["reaching", "request", "scope", "state"]

END_SESSION = "UPDATE sessions SET ended_at = now() WHERE id = :session"
REVOCATIONS = {
    "ended session": (END_SESSION, problem(401, "session_ended")),
    "disabled user": (DISABLE, problem(401, "account_disabled")),
    "demoted": (DEMOTE, problem(403, "permission_missing", permission="projects:write")),
    "removed": (REMOVE, problem(403, "not_a_member")),
    "suspended": (SUSPEND, problem(403, "tenant_suspended")),
    "revoked key": (REVOKE, problem(401, "api_key_revoked")),
    "expired key": (EXPIRE, problem(401, "api_key_expired")),
    "deleted key": ("DELETE FROM api_keys WHERE subject_id = :user", problem(401, "invalid_api_key")),
    "narrowed key": (NARROW, problem(403, "scope_missing", permission="projects:write")),
}


def provided_names(app: Litestar) -> list[str]:
    """What the platform gives to every handler that asks for it."""
    return sorted(name for name in next(iter(handlers(app)))[1].resolve_dependencies() if name in app.dependencies)


@pytest.fixture(scope="module")
def package(app: Litestar, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    names = {*provided_names(app), *HARMLESS_ARGUMENTS, *OUTWARD}
    with planted_slice(tmp_path_factory.mktemp(PACKAGE), PACKAGE, lazy_slice(names)) as package:
        yield package


@pytest.fixture(scope="module")
async def planted_app(app: Litestar, settings: Settings, package: str) -> AsyncIterator[tuple[Litestar, Api]]:
    async with serving(settings, features=package) as served:
        yield served.app, served.api


@pytest.fixture
def client(planted_app: tuple[Litestar, Api]) -> Api:
    return planted_app[1]


@pytest.fixture
def planted(client: Api) -> ModuleType:
    module = import_module(f"{PACKAGE}.planted.plugin")
    module.EFFECTS.clear()
    module.RUNS.clear()
    module.GATE.clear()
    return module


@pytest.fixture
async def stage(world: World) -> Stage:
    return Stage(world, await world.tenant("lazy"))


async def names(client: Api, stage: Stage) -> list[str]:
    """Of the projects that are stored, as another sees them whom nothing was revoked."""
    await stage.run("UPDATE tenants SET status = 'active' WHERE id = :tenant")
    listed = await client.as_(stage.tenant.member).get("/projects")
    return [project["name"] for project in listed.json()["items"]]


async def revoked_in_between(client: Api, planted: ModuleType, stage: Stage, path: str, revocation: str) -> Any:
    """The answer to a request whose handler was running when the revocation was committed."""
    task = asyncio.create_task(client.bearing(await stage.credential(revocation)).post(path))
    await asyncio.wait_for(planted.RUNS.wait(), 10)
    await stage.run(revocation)
    planted.GATE.set()
    return await asyncio.wait_for(task, 10)


@pytest.mark.parametrize("fault", ["404", "409", "422", "500"])
@pytest.mark.parametrize("name", REVOCATIONS)
async def test_refusal_comes_before_any_other_error(client: Api, stage: Stage, fault: str, name: str) -> None:
    """Who may not ask learns nothing of how the handler failed, not even that it did, and nothing of it is stored."""
    revocation, refusal = REVOCATIONS[name]
    caller = client.bearing(await stage.credential(revocation))
    allowed = await caller.post(f"/lazy/fault/{fault}")
    await stage.run(revocation)
    answer = await caller.post(f"/lazy/fault/{fault}")

    assert int(fault) == allowed.status_code
    assert refusal == answer
    assert "secret" not in answer.text
    assert [] == await names(client, stage)


@pytest.mark.parametrize(
    "options",
    [
        {"json": {}},
        {"json": {"name": ""}},
        {"json": [1]},
        {"content": b"{", "headers": {"Content-Type": "application/json"}},
    ],
    ids=repr,
)
@pytest.mark.parametrize("name", REVOCATIONS)
async def test_refusal_comes_before_faults_of_the_body(
    api: Api, stage: Stage, options: dict[str, Any], name: str
) -> None:
    """A body that a route cannot take does not hide that the caller may not use the route."""
    revocation, refusal = REVOCATIONS[name]
    caller = api.bearing(await stage.credential(revocation))
    allowed = await caller.post("/projects", **options)
    await stage.run(revocation)

    assert {400, 422} >= {allowed.status_code}
    assert refusal == await caller.post("/projects", **options)


@pytest.mark.parametrize("path", ["/projects?limit=0", "/projects?cursor=x", "/projects?sort=x", "/projects/x"])
async def test_refusal_comes_before_faults_of_parameters(api: Api, stage: Stage, path: str) -> None:
    """A wrong parameter does not hide that the session has ended; only a path that is no route has no gate."""
    allowed = await api.as_(stage.tenant.owner).get(path)
    await stage.run(END_SESSION)
    answer = await api.as_(stage.tenant.owner).get(path)

    if allowed.status_code == 404:
        assert problem(404, "route_not_found") == answer
    else:
        assert 400 == allowed.status_code
        assert problem(401, "session_ended") == answer


@pytest.mark.parametrize("path", ["/lazy/waits", "/lazy/waits-and-is-done"])
@pytest.mark.parametrize("name", REVOCATIONS)
async def test_revocation_while_the_handler_runs(
    client: Api, planted: ModuleType, stage: Stage, path: str, name: str
) -> None:
    """What is revoked after a handler has begun and before its transaction has is refused, and nothing is stored."""
    revocation, refusal = REVOCATIONS[name]
    answer = await revoked_in_between(client, planted, stage, path, revocation)

    assert refusal == answer
    assert "secret" not in answer.text
    assert [] == await names(client, stage)


@pytest.mark.parametrize("name", REVOCATIONS)
async def test_revocation_between_read_and_write(
    client: Api, planted: ModuleType, stage: Stage, settings: Settings, name: str
) -> None:
    """On the fast lane a write asks again, though the read before it was allowed."""
    if not settings.database_fast_lane:
        pytest.skip("the session reads and writes in one transaction, which began before the revocation")
    revocation, refusal = REVOCATIONS[name]

    assert refusal == await revoked_in_between(client, planted, stage, "/lazy/reads-and-waits", revocation)
    assert [] == await names(client, stage)


async def test_what_is_not_revoked_is_stored(client: Api, planted: ModuleType, stage: Stage) -> None:
    """The proofs above are worth something: without a revocation the same requests succeed."""
    answers = [
        await revoked_in_between(client, planted, stage, path, "SELECT 1")
        for path in ("/lazy/waits", "/lazy/waits-and-is-done")
    ]

    assert [201, 201] == [answer.status_code for answer in answers]
    assert ["late"] == await names(client, stage)


def test_what_the_platform_provides_is_outward(planted_app: tuple[Litestar, Api], app: Litestar) -> None:
    """A handler with anything of the platform but unit of work, principal and catalogue must be authorised first."""
    plans = {handler.handler_name: plan_of(handler).is_repeatable for _, handler, _ in handlers(planted_app[0])}
    outward = {*provided_names(app), *OUTWARD} - HARMLESS

    assert {"cache", "database", "mailer", "passwords", "readiness", "settings", "tokens"} <= outward
    assert set() == {name for name in outward if plans[f"effect_{name}"]}
    assert set() == {name for name in HARMLESS_ARGUMENTS if not plans[f"effect_{name}"]}


async def test_nobody_reaches_outward_unasked(
    client: Api, planted: ModuleType, stage: Stage, app: Litestar, planted_app: tuple[Litestar, Api]
) -> None:
    """With an ended session no line of a handler runs that could act elsewhere; of the others nothing is told."""
    outward = {*provided_names(app), *OUTWARD} - HARMLESS
    everything = sorted(outward | {*HARMLESS_ARGUMENTS})
    owner = client.as_(stage.tenant.owner)
    allowed = {name: outcome(await owner.get(f"/lazy/effect/{name}")) for name in everything}
    effects_of_allowed = [*planted.EFFECTS]
    planted.EFFECTS.clear()
    await stage.run(END_SESSION)
    refused = {name: outcome(await owner.get(f"/lazy/effect/{name}")) for name in everything}

    assert dict.fromkeys(everything, (200, "a secret")) == allowed
    assert everything == effects_of_allowed
    assert dict.fromkeys(everything, (401, "session_ended")) == refused
    assert sorted(HARMLESS_ARGUMENTS) == sorted(planted.EFFECTS)


def test_plans_of_all_routes(app: Litestar) -> None:
    """A shipped route may run unasked, and again, exactly when all that it is made of is the unit of work's."""
    wrong, repeatable = [], set()
    for route, handler, method in handlers(app):
        leaves = leaves_of(handler.parsed_fn_signature.parameters, handler.resolve_dependencies())
        plan = plan_of(handler)
        if not plan.is_public:
            repeatable.add(plan.is_repeatable)
            harmless = leaves <= {*HARMLESS, "page"} and not answers_itself(handler)
            if plan.is_repeatable != harmless:
                wrong.append(f"{method} {route.path_format}: made of {sorted(leaves)}")

    assert [] == wrong
    assert {True, False} == repeatable


def leaves_of(names: Any, dependencies: dict[str, Any]) -> set[str]:
    """What the parameters are made of in the end; the request's own values are none of it."""
    leaves: set[str] = set()
    for name in names:
        needed = dependencies[name].parsed_fn_signature.parameters if name in dependencies else {}
        if name in {*OUTWARD, *HARMLESS, "page"} or (name in dependencies and not needed):
            leaves.add(name)
        else:
            leaves |= leaves_of(needed, dependencies)
    return leaves


def outcome(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.text if answer.is_success else answer.json()["code"]
