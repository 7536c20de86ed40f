"""The document finds in a handler's code what it can answer with."""

import pytest
from litestar import Litestar

from tests.isolation.operations import Contract

PROBLEM = "application/problem+json"
ONE = "/api/v1/projects/{project_id}"


@pytest.fixture(scope="module")
def contract(app: Litestar) -> Contract:
    return Contract(app)


def told(contract: Contract, method: str, path: str) -> set[str]:
    """`409 project_archived` for each problem of the operation."""
    operation = contract.find(method, path)
    assert operation is not None
    responses = operation.document["responses"].items()
    return {
        f"{status} {code}"
        for status, response in responses
        for code in response.get("content", {}).get(PROBLEM, {}).get("examples", {})
    }


FOUND = {
    "raised by a method of a row, in a lambda": ("PATCH", ONE, "409 project_archived"),
    "raised by a method that is passed on": ("POST", f"{ONE}/archive", "409 project_archived"),
    "named by the repository": ("GET", ONE, "404 project_not_found"),
    "a constraint of the table": ("POST", "/api/v1/projects", "409 project_name_taken"),
    "a quota of the table": ("POST", "/api/v1/projects", "402 quota_exceeded"),
    "raised through the door of another slice": ("PATCH", "/api/v1/members/{user_id}", "422 unknown_role"),
    "raised by the platform": ("POST", "/api/v1/auth/password/change", "422 password_common"),
    "a rule of the database": ("DELETE", "/api/v1/members/{user_id}", "409 last_owner"),
    "asked by the policy": ("POST", "/api/v1/api-keys", "401 fresh_auth_required"),
}


@pytest.mark.parametrize(("method", "path", "problem"), FOUND.values(), ids=FOUND)
async def test_problem_is_found(contract: Contract, method: str, path: str, problem: str) -> None:
    """However deep it lies, the operation shows it."""
    assert problem in told(contract, method, path)


@pytest.mark.parametrize(
    ("method", "path", "problem"),
    [
        ("GET", ONE, "409 project_archived"),
        ("GET", ONE, "409 project_name_taken"),
        ("DELETE", ONE, "409 project_name_taken"),
        ("PATCH", ONE, "402 quota_exceeded"),
        ("GET", "/health/live", "429 rate_limited"),
        ("POST", "/api/v1/auth/login", "403 permission_missing"),
    ],
)
async def test_problem_of_others_is_not_told(contract: Contract, method: str, path: str, problem: str) -> None:
    """What an operation never does is not shown for it."""
    assert problem not in told(contract, method, path)
