"""Every operation answers everyone as its declared policy says. Generated from routes, policies and the document."""

import pytest
from sqlalchemy import text

from tenantry.clock import now
from tenantry.http.policy import Allow
from tenantry.ids import new_id
from tenantry.testing import Account, Api, TenantHandle, World, problem
from tests.isolation.matrix import attempts, code_of
from tests.isolation.operations import Contract
from tests.isolation.principals import PRINCIPALS, REFUSALS

INSERT_ROLE = text(
    "INSERT INTO custom_roles (id, name, description, permissions, created_at, updated_at)"
    " VALUES (:id, :role, '', :permissions, :now, :now)"
)
INSERT_MEMBERSHIP = text(
    "INSERT INTO memberships (id, user_id, custom_role, created_at, updated_at) VALUES (:id, :user, :role, :now, :now)"
)


@pytest.mark.parametrize("name", PRINCIPALS)
async def test_each_policy_holds(api: Api, world: World, contract: Contract, name: str) -> None:
    """Whom the policy refuses gets its status and code, and the permission's name; anyone else gets an answer."""
    made = await attempts(api, world, contract, name)

    assert [] == [fault for attempt in made for fault in attempt.faults]
    assert len(contract.operations) == len(made)


async def test_one_permission_decides(api: Api, world: World, contract: Contract) -> None:
    """A role of the tenant's own with the declared permission and no other is let in; with all others it is not."""
    tenant = await world.tenant()
    declared = {each.policy.permission.name for each in contract.operations if isinstance(each.policy, Allow)}
    wrong = []

    for operation in contract.operations:
        if isinstance(operation.policy, Allow):
            needed = operation.policy.permission.name
            without = await member_holding(world, tenant, declared - {needed})
            refused = await contract.call(api.as_(without), operation)
            if problem(403, "permission_missing", permission=needed) != refused:
                wrong.append(f"{operation}: {refused.status_code} {refused.text} without {needed}")
            only = await member_holding(world, await world.tenant(), {needed})
            answered = await contract.call(api.as_(only), operation)
            if answered.status_code >= 500 or code_of(answered) in REFUSALS:
                wrong.append(f"{operation}: {answered.status_code} {answered.text} with nothing but {needed}")

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


async def member_holding(world: World, tenant: TenantHandle, permissions: set[str]) -> Account:
    """Somebody whose role allows exactly these."""
    account = await world.account("eve", tenant_id=tenant.id)
    role = f"r-{account.id.hex}"
    given = {"role": role, "now": now()}
    await tenant.run(INSERT_ROLE.bindparams(id=new_id(), permissions=sorted(permissions), **given))
    await tenant.run(INSERT_MEMBERSHIP.bindparams(id=new_id(), user=account.id, **given))
    return account
