"""ETag, If-None-Match and If-Match: who names the version that they have seen loses nobody's change."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import msgspec
import pytest
from litestar import Litestar

from features.projects.tests.factories import ProjectFactory
from tenantry.config import Settings
from tenantry.testing import Api, TenantHandle, problem
from tests.faults.planted import planted_slice, serving

WRITERS = 8
NEVER = '"9-0123456789abcdef"'
PACKAGE = "planted_conditional"
PLUGIN = """
from uuid import UUID

from litestar import Controller, patch
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from features.projects.dtos import Project, ProjectPatch
from features.projects.permissions import WRITE
from features.projects.repository import ProjectRepository
from tenantry.feature import Feature
from tenantry.http.policy import allow


class CarefulController(Controller):
    path = "/careful"

    @patch("/{project_id:uuid}", opt=allow(WRITE, if_match="required"), summary="Change what you have read")
    async def change(
        self, project_id: FromPath[UUID], data: JSONBody[ProjectPatch], careful: NamedDependency[ProjectRepository]
    ) -> Project:
        return await careful.alter(project_id, lambda project: project.change(data))


feature = Feature("careful", controllers=[CarefulController], provides={"careful": ProjectRepository})
"""


@pytest.fixture(scope="module", params=["fast lane", "session"])
async def client(request: pytest.FixtureRequest, app: Litestar, settings: Settings) -> AsyncIterator[Api]:
    """Of a service with the fast lane, and of one without."""
    own = msgspec.structs.replace(settings, database_fast_lane=request.param == "fast lane")
    async with serving(own) as served:
        yield served.api


async def project_of(tenant: TenantHandle) -> str:
    return f"/projects/{(await tenant.has(ProjectFactory, name='Apollo')).id}"


async def test_unchanged_is_not_sent_again(client: Api, acme: TenantHandle) -> None:
    """Who has what there is gets 304 without a body: by its tag, weak or strong, alone or in a list, or by `*`."""
    member, path = client.as_(acme.member), await project_of(acme)
    tag = (await member.get(path)).headers["etag"]

    for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        answer = await member.get(path, headers={"If-None-Match": known})

        assert (304, b"", tag) == (answer.status_code, answer.content, answer.headers["etag"])
    for other in (NEVER, "nonsense", '""', tag.strip('"')):
        assert 200 == (await member.get(path, headers={"If-None-Match": other})).status_code


async def test_every_answer_names_the_same_version(client: Api, acme: TenantHandle) -> None:
    """What creates or changes answers with the tag that reading it gives, and each change gives it another one."""
    member = client.as_(acme.member)
    created = await member.post("/projects", json={"name": "Apollo"})
    path = f"/projects/{created.json()['id']}"
    tags = [created.headers["etag"], (await member.get(path)).headers["etag"]]
    for change in ({"name": "Gemini"}, {"name": "Gemini"}, {"description": "To the moon"}):
        tags += [(await member.patch(path, json=change)).headers["etag"], (await member.get(path)).headers["etag"]]
    tags += [(await member.post(f"{path}/archive")).headers["etag"], (await member.get(path)).headers["etag"]]

    assert tags[::2] == tags[1::2]
    assert ["1", "2", "2", "3", "4"] == [tag.strip('"').partition("-")[0] for tag in tags[::2]]


async def test_stale_change_is_refused(client: Api, acme: TenantHandle) -> None:
    """A change or a deletion for a version that is no more answers 412, and nothing happens; weak tags never match."""
    member, path = client.as_(acme.member), await project_of(acme)
    first = (await member.get(path)).headers["etag"]
    second = (await member.patch(path, json={"name": "Gemini"}, headers={"If-Match": first})).headers["etag"]

    for stale in (first, f"W/{second}", NEVER, "nonsense", f'{first}, W/{second}, "x"'):
        for answer in (
            await member.patch(path, json={"name": "Mercury"}, headers={"If-Match": stale}),
            await member.delete(path, headers={"If-Match": stale}),
            await member.post(f"{path}/archive", headers={"If-Match": stale}),
        ):
            assert problem(412, "precondition_failed") == answer
    assert second == (await member.get(path)).headers["etag"]


async def test_current_change_succeeds(client: Api, acme: TenantHandle) -> None:
    """The current tag, alone or in a list, and `*` let a change and a deletion pass."""
    member, path = client.as_(acme.member), await project_of(acme)
    tag = (await member.get(path)).headers["etag"]

    changed = await member.patch(path, json={"name": "Gemini"}, headers={"If-Match": f"{NEVER}, {tag}"})
    anyhow = await member.patch(path, json={"name": "Mercury"}, headers={"If-Match": "*"})
    deleted = await member.delete(path, headers={"If-Match": anyhow.headers["etag"]})
    gone = await member.delete(path, headers={"If-Match": "*"})

    assert [200, 200, 204] == [answer.status_code for answer in (changed, anyhow, deleted)]
    assert problem(404, "project_not_found") == gone


@pytest.mark.parametrize("ends", [False, True])
async def test_no_update_is_lost(client: Api, acme: TenantHandle, ends: bool) -> None:
    """Of many who change, or delete, the version that they have all read, one succeeds and the others are told."""
    member, path = client.as_(acme.member), await project_of(acme)
    condition = {"If-Match": (await member.get(path)).headers["etag"]}

    changes = [member.patch(path, json={"name": f"name {n}"}, headers=condition) for n in range(WRITERS)]
    if ends:
        changes += [member.delete(path, headers=condition) for _ in range(WRITERS)]
    answers = await asyncio.gather(*changes)

    done = [answer for answer in answers if answer.is_success]
    assert 1 == len(done)
    assert {412, 404} >= {answer.status_code for answer in answers if not answer.is_success}
    if done[0].status_code == 200:
        assert done[0].json() == (await member.get(path)).json()
        assert {200: 1, 412: len(answers) - 1} == Counter(answer.status_code for answer in answers)


async def test_condition_needs_a_version(api: Api, acme: TenantHandle) -> None:
    """Where nothing has the version that was asked for, nothing happens: what cannot be compared is not changed."""
    member = api.as_(acme.member)

    refused = await member.post("/projects", json={"name": "Apollo"}, headers={"If-Match": NEVER})

    assert problem(412, "precondition_failed") == refused
    assert [] == (await member.get("/projects")).json()["items"]


async def test_required_condition(
    app: Litestar, settings: Settings, acme: TenantHandle, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A route that demands `If-Match` answers 428 without one, but not before it is known who asks."""
    path = (await project_of(acme)).replace("projects", "careful")
    with planted_slice(tmp_path_factory.mktemp(PACKAGE), PACKAGE, PLUGIN) as package:
        async with serving(settings, features=package) as served:
            member, viewer = served.api.as_(acme.member), served.api.as_(acme.viewer)
            without = await member.patch(path, json={"name": "Gemini"})
            refused = await viewer.patch(path, json={"name": "Gemini"})
            anyhow = await member.patch(path, json={"name": "Gemini"}, headers={"If-Match": "*"})

    assert problem(428, "precondition_required") == without
    assert problem(403, "permission_missing") == refused
    assert 200 == anyhow.status_code
