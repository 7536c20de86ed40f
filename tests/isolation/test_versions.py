"""Versions of rows: everything that can be changed has one, and nobody learns it of a foreign row."""

import httpx

from features.projects.tests.factories import ProjectFactory
from tenantry.http.policy import Allow
from tenantry.testing import Api, TenantHandle, World, problem
from tests.isolation.operations import Contract, Operation

NEVER = '"9-0123456789abcdef"'


def resources(contract: Contract) -> list[tuple[Operation, list[Operation]]]:
    """What a tenant has, can be read, and what changes it."""
    return [
        (reads, [each for each in contract.operations if each.path == reads.path and each.method != "GET"])
        for reads in contract.operations
        if reads.method == "GET"
        and isinstance(reads.policy, Allow)
        and reads.path.startswith("/api/")
        and "/sso/" not in reads.path  # to be had only where a provider answers
        and any((each.path, each.method) == (reads.path, "PATCH") for each in contract.operations)
    ]


async def test_all_resources_have_versions(api: Api, world: World, contract: Contract) -> None:
    """Whatever can be read and changed has a tag; its changes heed it, and a stale one changes nothing."""
    found = [
        fault for reads, changes in resources(contract) for fault in await faults(api, world, contract, reads, changes)
    ]

    assert [] == found
    assert len(resources(contract)) >= 6


async def faults(api: Api, world: World, contract: Contract, reads: Operation, changes: list[Operation]) -> list[str]:
    owner = api.as_((await world.tenant()).owner)
    ids: dict[str, str] = {}
    for name in reads.parameters:
        ids[name] = await contract.row(owner, reads.path.partition("/{")[0], ids, name) or ""
    path = f"/{reads.path.format(**ids)}"

    async def ask(operation: Operation, header: str, tag: str) -> httpx.Response:
        return await owner.request(operation.method, path, **contract.options(operation) | {"headers": {header: tag}})

    first = await owner.get(path)
    wrong = (
        [f"{reads}: {first.text}"]
        if (await ask(reads, "If-None-Match", first.headers.get("etag", "none"))).status_code != 304
        else []
    )
    for operation in changes:
        stale = await ask(operation, "If-Match", NEVER)
        if problem(412, "precondition_failed") != stale or first.text != (await owner.get(path)).text:
            wrong.append(f"{operation}: {stale.status_code} {stale.text}")
    for operation in sorted(changes, key=lambda each: each.method, reverse=True):
        current = await ask(operation, "If-Match", (await owner.get(path)).headers["etag"])
        if current.status_code in (404, 412, 500):
            wrong.append(f"{operation}: {current.text}")
    return wrong


async def test_foreign_row_has_no_version(api: Api, acme: TenantHandle, globex: TenantHandle) -> None:
    """Its tag does not show that it exists: reading and changing it answer 404, as of a row that never was."""
    path = f"/projects/{(await acme.has(ProjectFactory)).id}"
    tag = (await api.as_(acme.member).get(path)).headers["etag"]
    foreign = api.as_(globex.member)

    for condition in (tag, "*", NEVER):
        for answer in (
            await foreign.get(path, headers={"If-None-Match": condition}),
            await foreign.patch(path, json={"name": "Gemini"}, headers={"If-Match": condition}),
            await foreign.delete(path, headers={"If-Match": condition}),
        ):
            assert problem(404, "project_not_found") == answer
