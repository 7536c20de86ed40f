"""Every operation answers everyone as its declared policy says. Generated from routes, policies and the document."""

import httpx
import pytest

from tenantry.http.policy import Allow
from tenantry.testing import Api, World
from tests.isolation.operations import Contract, Operation
from tests.isolation.principals import PRINCIPALS, REFUSALS, Caller, Stage, expected


@pytest.mark.parametrize("name", PRINCIPALS)
async def test_each_policy_holds(api: Api, world: World, contract: Contract, name: str) -> None:
    """Whom the policy refuses gets its status and code, and the permission's name; anyone else gets an answer."""
    caller = PRINCIPALS[name]
    stage = Stage(world, await world.tenant())
    header = await caller.header(stage)
    wrong = []

    for operation in contract.operations:
        response = await contract.call(api, operation, headers=authorization(header))
        wrong += faults(operation, caller, response)
        if expected(operation.policy, caller) is None and not operation.is_public:
            stage = Stage(world, await world.tenant())
            header = await caller.header(stage)

    assert [] == wrong


async def test_no_other_method_is_a_way_round(api: Api, contract: Contract) -> None:
    """HEAD, TRACE and methods that do not exist answer an anonymous caller nothing of what needs a credential."""
    answered = []
    for operation in contract.operations:
        for method in ("HEAD", "TRACE", "FETCH"):
            response = await contract.call(api, operation._replace(method=method))
            if response.is_success and not operation.is_public:
                answered.append(f"{method} {operation.path}: {response.status_code}")

    assert [] == answered


def authorization(header: str | None) -> dict[str, str]:
    return {} if header is None else {"Authorization": header}


def faults(operation: Operation, caller: Caller, response: httpx.Response) -> list[str]:
    """What the answer should be and is not."""
    refusal = expected(operation.policy, caller)
    is_problem = response.headers.get("content-type") == "application/problem+json"
    problem = response.json() if is_problem else {}
    if refusal is None:
        wrong = problem.get("code") in REFUSALS or response.status_code >= 500
        return [f"{operation}: refused with {problem or response.status_code}"] if wrong else []
    found = [] if refusal == (response.status_code, problem.get("code")) else [f"{operation}: {problem}, not {refusal}"]
    if problem.get("request_id") != response.headers["x-request-id"]:
        found.append(f"{operation}: the problem does not name the request")
    if isinstance(operation.policy, Allow) and refusal.status == 403:
        name = operation.policy.permission.name
        found += [] if problem.get("permission") == name else [f"{operation}: {problem} does not name {name}"]
    return found
