"""What is switched off to measure what it costs is there, and requests pass without it."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from features.projects.tests.factories import ProjectFactory
from tenantry.testing import Api, TenantHandle
from tests.load import added_cost, conditions

SWITCHES: list[Callable[[], AbstractContextManager[None]]] = [
    conditions.without_versions,
    conditions.without_keys,
    added_cost.without_depth,
    added_cost.without_duplicates,
    added_cost.without_types,
    added_cost.without_shedding,
    added_cost.without_deadlines,
]


@pytest.mark.parametrize("switch", SWITCHES, ids=lambda switch: switch.__name__)
async def test_requests_pass_without_it(
    api: Api, acme: TenantHandle, switch: Callable[[], AbstractContextManager[None]]
) -> None:
    """A name or a signature that has changed since would end a measurement after minutes, or measure errors."""
    project = await acme.has(ProjectFactory)
    path = "/projects"
    with switch():
        answers = [
            await api.as_(acme.owner).get(f"{path}/{project.id}"),
            await api.as_(acme.owner).post(path, json={"name": "Apollo"}),
        ]

    assert [200, 201] == [answer.status_code for answer in answers]
