"""No idempotency key leads to an answer that was given to somebody else, or in another tenant."""

from dataclasses import replace

import httpx

from tenantry.ids import new_id
from tenantry.security.permissions import Role
from tenantry.security.principal import Principal
from tenantry.testing import Account, Api, World
from tests.isolation.operations import Contract, Operation


def keyed(contract: Contract) -> list[Operation]:
    """All operations that heed a key, and can be sent with nothing but a body."""
    return [
        operation
        for operation in contract.operations
        if not operation.parameters
        and any(each["name"] == "Idempotency-Key" for each in operation.document.get("parameters") or ())
    ]


async def repeat(api: Api, account: Account, first: httpx.Response) -> httpx.Response:
    """The same request, of somebody."""
    sent = first.request
    headers = {name: sent.headers[name] for name in ("Content-Type", "Idempotency-Key")}
    return await api.as_(account).request(sent.method, f"/{sent.url.path}", content=sent.content, headers=headers)


async def test_nobody_else_gets_an_answer_again(api: Api, world: World, contract: Contract) -> None:
    """The same request with the same key gets its answer again in the same tenant alone, and nobody else gets it."""
    wrong, repeated = [], 0
    for operation in keyed(contract):
        here, there = await world.tenant(), await world.tenant()
        await there.admit(here.owner, Role.owner)
        elsewhere = world.tokens.issue(Principal(here.owner.id, here.owner.session_id, there.id))

        first = await contract.call(api.as_(here.owner), operation, headers={"Idempotency-Key": str(new_id())})
        if not first.is_success:
            continue
        again = await repeat(api, here.owner, first)
        repeated += again.content == first.content and again.headers["idempotency-replayed"] == "true"
        for who, account in {
            "a colleague": here.admin,
            "another tenant": there.admin,
            "the same person in another tenant": replace(here.owner, token=elsewhere),
        }.items():
            answer = await repeat(api, account, first)
            is_told = answer.content == first.content or "idempotency-replayed" in answer.headers
            if is_told and not (operation.path.endswith("/tenants") and account.id == here.owner.id):
                wrong.append(f"{operation}: {who} gets {answer.text}")

    assert [] == wrong
    assert repeated >= 4
