"""Idempotency keys: sent again, a request has one effect and gets its first answer."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from importlib import import_module
from typing import Any

import httpx
import pytest
from litestar import Litestar
from sqlalchemy import text

from features.projects.tests.factories import ProjectFactory
from tenantry.clock import frozen_at, now
from tenantry.config import Settings
from tenantry.ids import new_id
from tenantry.security.principal import Principal
from tenantry.testing import Account, Api, Mailbox, TenantHandle, World, problem
from tests.contract.test_docs import objects
from tests.faults.planted import planted_slice, serving

BODY = {"name": "Apollo"}
SECRET_NAMES = {"key", "secret", "token", "access_token", "refresh_token", "password", "codes", "recovery_codes"}
PACKAGE = "planted_idempotency"
PLUGIN = """
import asyncio

from litestar import Controller, post
from litestar.di import NamedDependency
from litestar.params import JSONBody

from features.projects.dtos import Project, ProjectCreate
from features.projects.models import ProjectRow
from features.projects.permissions import WRITE
from features.projects.repository import ProjectRepository
from tenantry.feature import Feature
from tenantry.http.policy import allow

STARTED, MAY_END = asyncio.Event(), asyncio.Event()


class CarefulController(Controller):
    path = "/careful"

    @post(opt=allow(WRITE, idempotent="required"), summary="Create a project, slowly")
    async def create(self, data: JSONBody[ProjectCreate], careful: NamedDependency[ProjectRepository]) -> Project:
        project = await careful.add(ProjectRow.of(data))
        STARTED.set()
        await MAY_END.wait()
        return project


feature = Feature("careful", controllers=[CarefulController], provides={"careful": ProjectRepository})
"""


async def send(api: Api, account: Account, key: str, path: str = "/projects", body: Any = BODY) -> httpx.Response:
    return await api.as_(account).post(path, json=body, headers={"Idempotency-Key": key})


async def names(api: Api, account: Account) -> list[str]:
    return [item["name"] for item in (await api.as_(account).get("/projects")).json()["items"]]


def is_replayed(answer: httpx.Response) -> bool:
    return bool(answer.headers.get("idempotency-replayed") == "true")


async def test_first_answer_is_given_again(api: Api, acme: TenantHandle) -> None:
    """Status, body, media type and tag are those of the first time, also after a change, and there is one project."""
    first = await send(api, acme.member, "k-1")
    path = f"/projects/{first.json()['id']}"
    await api.as_(acme.member).patch(path, json={"description": "To the moon"})
    again = await send(api, acme.member, "k-1")
    spelled = await send(api, acme.member, '"k-1"', "/projects/")

    assert (201, False) == (first.status_code, is_replayed(first))
    for answer in (again, spelled):
        assert (201, first.content, True) == (answer.status_code, answer.content, is_replayed(answer))
        for name in ("content-type", "content-length", "etag"):
            assert first.headers[name] == answer.headers[name]
    assert ["Apollo"] == await names(api, acme.member)


async def test_key_is_bound(api: Api, acme: TenantHandle, globex: TenantHandle) -> None:
    """Another person, tenant or path with the same key is another request, and sees nothing of the first answer."""
    first = await send(api, acme.member, "k-2")
    other = await send(api, acme.admin, "k-2", body={"name": "Gemini"})
    foreign = await send(api, globex.member, "k-2")
    role = await send(api, acme.admin, "k-2", "/roles", {"name": "auditor", "permissions": []})

    assert [201] * 4 == [answer.status_code for answer in (first, other, foreign, role)]
    assert not any(map(is_replayed, (other, foreign, role)))
    assert first.json()["id"] != foreign.json()["id"]
    assert ["Gemini", "Apollo"] == await names(api, acme.member)


async def test_key_is_for_one_payload(api: Api, acme: TenantHandle) -> None:
    """Another body, or other query parameters, with a key that was used are refused, and change nothing."""
    await send(api, acme.member, "k-3")

    for path, body in (("/projects", {"name": "Gemini"}), ("/projects?x=1", BODY)):
        assert problem(422, "idempotency_key_reused") == await send(api, acme.member, "k-3", path, body)
    assert ["Apollo"] == await names(api, acme.member)


@pytest.mark.parametrize("key", ["", '"', "two words", "é".encode(), "x" * 256, '"half'])
async def test_bad_key(api: Api, acme: TenantHandle, key: Any) -> None:
    """What is no key is refused, rather than taken for none; to whom may do nothing here it says nothing."""
    refused = await send(api, acme.member, key)
    told = await send(api, acme.viewer, key)

    assert problem(400, "idempotency_key_invalid") == refused
    assert problem(403, "permission_missing") == told


async def test_error_is_not_kept(api: Api, acme: TenantHandle) -> None:
    """An error undoes its effect and is no answer to keep: the same key may try again, and then succeeds."""
    taken = await acme.has(ProjectFactory, name="Apollo")

    refused = await send(api, acme.member, "k-4")
    await api.as_(acme.member).delete(f"/projects/{taken.id}")
    created = await send(api, acme.member, "k-4")

    assert problem(409, "project_name_taken") == refused
    assert (201, False) == (created.status_code, is_replayed(created))


async def test_replay_asks_first(api: Api, acme: TenantHandle) -> None:
    """Whoever may not do it any more, or whose session has ended, does not get the first answer either."""
    await send(api, acme.member, "k-5")
    await acme.run(text("UPDATE memberships SET role = 'viewer' WHERE user_id = :id").bindparams(id=acme.member.id))
    demoted = await send(api, acme.member, "k-5")
    await api.as_(acme.member).post("/auth/logout")
    ended = await send(api, acme.member, "k-5")

    assert problem(403, "permission_missing") == demoted
    assert problem(401, "session_ended") == ended


async def test_key_expires(api: Api, world: World, acme: TenantHandle) -> None:
    """After its time an answer is not given again, and the next ones that are kept sweep it away."""

    async def later(hours: float, key: str, body: Any = BODY) -> httpx.Response:
        with frozen_at(now() + timedelta(hours=hours)):
            token = world.tokens.issue(Principal(acme.member.id, acme.member.session_id, acme.id))
            return await send(api, replace(acme.member, token=token), key, body=body)

    first = await later(0, "k-6")
    replayed = await later(23.9, "k-6")
    await api.as_(acme.member).delete(f"/projects/{first.json()['id']}")
    fresh = await later(24.1, "k-6")
    await later(49, "k-7", {"name": "Gemini"})
    async with acme.database.transaction() as unit_of_work:
        await unit_of_work.bind_tenant(acme.id)
        kept = await unit_of_work.scalar(text("SELECT count(*) FROM idempotency_keys"))

    assert (True, False) == (is_replayed(replayed), is_replayed(fresh))
    assert (201, 1) == (fresh.status_code, kept)


async def test_at_once(api: Api, acme: TenantHandle) -> None:
    """Of many at once one has the effect; the others get its answer, or hear that it is not there yet."""
    answers = await asyncio.gather(*(send(api, acme.member, "k-8") for _ in range(12)))

    assert 1 == Counter((answer.status_code, is_replayed(answer)) for answer in answers)[201, False]
    for answer in answers:
        if answer.status_code == 201:
            assert answers[0].status_code != 201 or answers[0].content == answer.content
        else:
            assert problem(409, "idempotency_in_flight") == answer
    assert ["Apollo"] == await names(api, acme.member)


@pytest.fixture
async def careful(
    app: Litestar, settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[Api, Any]]:
    with planted_slice(tmp_path_factory.mktemp(PACKAGE), PACKAGE, PLUGIN) as package:
        async with serving(settings, features=package) as served:
            planted: Any = import_module(f"{PACKAGE}.planted.plugin")
            planted.STARTED.clear()
            planted.MAY_END.clear()
            yield served.api, planted


async def test_in_flight(careful: tuple[Api, Any], acme: TenantHandle) -> None:
    """While the first request is at work the second is told at once when to come again, and then gets its answer."""
    api, planted = careful
    first = asyncio.create_task(send(api, acme.member, "k-9", "/careful"))
    await planted.STARTED.wait()
    second = await send(api, acme.member, "k-9", "/careful")
    planted.MAY_END.set()
    third = await send(api, acme.member, "k-9", "/careful") if (await first).is_success else second

    assert problem(409, "idempotency_in_flight") == second
    assert "1" == second.headers["retry-after"]
    assert ((await first).content, True) == (third.content, is_replayed(third))


async def test_given_up(careful: tuple[Api, Any], acme: TenantHandle) -> None:
    """A request that is given up while it works has no effect and holds its key no longer."""
    api, planted = careful
    first = asyncio.create_task(send(api, acme.member, "k-10", "/careful"))
    await planted.STARTED.wait()
    first.cancel()
    await asyncio.wait([first])
    planted.MAY_END.set()
    second = await send(api, acme.member, "k-10", "/careful")

    assert (201, False) == (second.status_code, is_replayed(second))
    assert ["Apollo"] == await names(api, acme.member)


async def test_required_key(careful: tuple[Api, Any], acme: TenantHandle) -> None:
    """A route that demands a key refuses to work without one, but not before it is known who asks."""
    api, _ = careful

    refused = await api.as_(acme.member).post("/careful", json=BODY)
    told = await api.as_(acme.viewer).post("/careful", json=BODY)

    assert problem(400, "idempotency_key_required") == refused
    assert problem(403, "permission_missing") == told


async def test_new_tenant(api: Api, acme: TenantHandle) -> None:
    """A tenant is founded once, although nobody could know before for which tenant its answer would be kept."""
    body = {"name": "Initech", "slug": f"initech-{new_id().hex}"}

    first = await send(api, acme.owner, "k-11", "/tenants", body)
    again = await send(api, acme.owner, "k-11", "/tenants", body)
    other = await send(api, acme.member, "k-11", "/tenants", body)

    assert (201, first.content, True) == (again.status_code, again.content, is_replayed(again))
    assert problem(409, "tenant_slug_taken") == other


async def test_invitation(api: Api, acme: TenantHandle, mailbox: Mailbox) -> None:
    """Somebody is invited once, and gets one mail; while it leaves no transaction waits."""
    body = {"email": f"{new_id().hex}@example.com", "role": "member"}

    first = await send(api, acme.admin, "k-12", "/invitations", body)
    again = await send(api, acme.admin, "k-12", "/invitations", body)

    assert (201, first.content, True) == (again.status_code, again.content, is_replayed(again))
    assert 1 == len(mailbox.to(body["email"]))


async def test_no_secret_is_kept(api: Api) -> None:
    """Routes that answer what is shown once, or lets somebody in, declare no idempotency: it would be stored."""
    document = (await api.get("//docs/openapi.json")).json()
    secrets, keyed = set(), set()
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if any(each["name"] == "Idempotency-Key" for each in operation.get("parameters") or ()):
                keyed.add(f"{method} {path}")
            answers = [each for status, each in operation["responses"].items() if status.startswith("2")]
            schemas = document["components"]["schemas"]
            named = [schemas[each["$ref"].rpartition("/")[2]] for each in objects(answers) if "$ref" in each]
            if any(SECRET_NAMES & each.get("properties", {}).keys() for each in named):
                secrets.add(f"{method} {path}")

    assert {"post /api/v1/api-keys", "post /api/v1/auth/login"} <= secrets
    assert {"post /api/v1/projects", "post /api/v1/tenants", "post /api/v1/invitations"} <= keyed
    assert set() == secrets & keyed
