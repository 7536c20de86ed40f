"""Every operation, tried by every principal: what each was answered, and whether its policy says so."""

from typing import NamedTuple

import httpx

from tenantry.http.policy import Allow
from tenantry.testing import Api, World
from tests.isolation.operations import Contract, Operation
from tests.isolation.principals import PRINCIPALS, REFUSALS, Caller, Stage, expected

__all__ = ("Attempt", "attempts", "code_of")


class Attempt(NamedTuple):
    operation: Operation
    principal: str
    status: int
    code: str | None
    """Of the problem that was answered."""
    faults: list[str]

    @property
    def is_let_in(self) -> bool:
        """Past the gate; what the handler then says of a sample body is its own matter."""
        return self.code not in REFUSALS


async def attempts(api: Api, world: World, contract: Contract, principal: str) -> list[Attempt]:
    """One principal at each operation; whatever gets through gets a tenant of its own to spoil."""
    caller = PRINCIPALS[principal]
    stage = Stage(world, await world.tenant())
    header = await caller.header(stage)
    made = []
    for operation in contract.operations:
        headers = {} if header is None else header if isinstance(header, dict) else {"Authorization": header}
        response = await contract.call(api, operation, headers=headers)
        faults = faults_of(operation, caller, response)
        made.append(Attempt(operation, principal, response.status_code, code_of(response), faults))
        if expected(operation.policy, caller, operation.method) is None and not operation.is_public:
            stage = Stage(world, await world.tenant())
            header = await caller.header(stage)
    return made


def faults_of(operation: Operation, caller: Caller, response: httpx.Response) -> list[str]:
    """What the answer should be and is not."""
    refusal = expected(operation.policy, caller, operation.method)
    is_problem = response.headers.get("content-type") == "application/problem+json"
    problem = response.json() if is_problem else {}
    if refusal is None:
        wrong = problem.get("code") in REFUSALS or response.status_code >= 500
        return [f"{operation}: refused with {problem or response.status_code}"] if wrong else []
    found = [] if refusal == (response.status_code, problem.get("code")) else [f"{operation}: {problem}, not {refusal}"]
    if problem.get("request_id") != response.headers["x-request-id"]:
        found.append(f"{operation}: the problem does not name the request")
    if isinstance(operation.policy, Allow) and refusal.status == 403 and refusal != caller.unsafe:
        name = operation.policy.permission.name
        found += [] if problem.get("permission") == name else [f"{operation}: {problem} does not name {name}"]
    return found


def code_of(answer: httpx.Response) -> str | None:
    is_problem = answer.headers.get("content-type") == "application/problem+json"
    return str(answer.json()["code"]) if is_problem else None
