"""The files of a new slice: `features/projects` without the rules that are its own."""

__all__ = ("TEMPLATES",)

TEMPLATES = {
    "__init__.py": '''"""$Words of a tenant. For every member; see permissions.py."""
''',
    "plugin.py": """\
from features.$items.controller import ${Item}Controller
from features.$items.repository import ${Item}Repository
from tenantry.feature import Feature

feature = Feature("$items", controllers=[${Item}Controller], provides={"$items": ${Item}Repository})
""",
    "permissions.py": """\
from tenantry.security.permissions import Permission, Role

READ = Permission("$items:read", "See $words", Role.viewer)
WRITE = Permission("$items:write", "Create, change and delete $words", Role.member)
""",
    "errors.py": """\
from tenantry.errors import Conflict, NotFound


class ${Item}NotFound(NotFound):
    code = "${item}_not_found"
    title = "There is no such $word"


class ${Item}NameTaken(Conflict):
    code = "${item}_name_taken"
    title = "Another $word has this name"
    constraint = "uq_${items}_tenant_id_name"
""",
    "dtos.py": r"""from datetime import datetime
from typing import Annotated
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType

Name = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"\S", examples=["First"])]


class ${Item}Create(Struct, forbid_unknown_fields=True):
    name: Name


class ${Item}Patch(Struct, forbid_unknown_fields=True):
    name: Name | UnsetType = UNSET


class ${Item}(Struct):
    id: UUID
    name: str
    created_at: datetime
    updated_at: datetime
""",
    "models.py": """\
from sqlalchemy import Index, UniqueConstraint
from sqlalchemy.orm import Mapped

from tenantry.db.base import TenantOwned


class ${Item}Row(TenantOwned):
    __tablename__ = "$items"
    __table_args__ = (
        UniqueConstraint("tenant_id", "name"),
        Index(None, "tenant_id", "created_at", "id"),
    )

    name: Mapped[str]
""",
    "repository.py": """\
from features.$items.dtos import ${Item}
from features.$items.errors import ${Item}NotFound
from features.$items.models import ${Item}Row
from tenantry.db.listing import ANY_OF, SPAN, TEXT, Listing
from tenantry.db.repository import Repository


class ${Item}Repository(Repository[${Item}Row, ${Item}]):
    not_found = ${Item}NotFound
    listing = Listing(sort=("created_at", "name"), filters={"id": ANY_OF, "name": TEXT, "created_at": SPAN})
""",
    "controller.py": """\
from uuid import UUID

from litestar import Controller, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from features.$items.dtos import ${Item}, ${Item}Create, ${Item}Patch
from features.$items.models import ${Item}Row
from features.$items.permissions import READ, WRITE
from features.$items.repository import ${Item}Repository
from tenantry.db.page import Page
from tenantry.http.page import PageQuery, lists
from tenantry.http.policy import allow

${Items} = NamedDependency[${Item}Repository]


class ${Item}Controller(Controller):
    path = "/$path"

    @get(opt=allow(READ) | lists(${Item}Repository), summary="List $words")
    async def list(self, $items: ${Items}, page: PageQuery) -> Page[${Item}]:
        return await $items.page(page)

    @post(opt=allow(WRITE, audit="$item.created", idempotent=True), summary="Create $a_word")
    async def create(self, data: JSONBody[${Item}Create], $items: ${Items}) -> ${Item}:
        return await $items.add(${Item}Row.of(data))

    @get("/{${item}_id:uuid}", opt=allow(READ), summary="Get $a_word")
    async def get(self, ${item}_id: FromPath[UUID], $items: ${Items}) -> ${Item}:
        return await $items.get(${item}_id)

    @patch("/{${item}_id:uuid}", opt=allow(WRITE, audit="$item.changed"), summary="Change $a_word")
    async def change(self, ${item}_id: FromPath[UUID], data: JSONBody[${Item}Patch], $items: ${Items}) -> ${Item}:
        \"""Fields that are left out stay as they are.\"""
        return await $items.alter(${item}_id, lambda $item: $item.apply(data))

    @delete("/{${item}_id:uuid}", opt=allow(WRITE, audit="$item.deleted"), summary="Delete $a_word")
    async def delete(self, ${item}_id: FromPath[UUID], $items: ${Items}) -> None:
        await $items.remove(${item}_id)
""",
    "tests/__init__.py": "",
    "tests/factories.py": """\
from polyfactory.factories.sqlalchemy_factory import SQLAlchemyFactory

from features.$items.models import ${Item}Row
from tenantry.clock import now
from tenantry.ids import new_id


class ${Item}Factory(SQLAlchemyFactory[${Item}Row]):
    __model__ = ${Item}Row
    __set_relationships__ = False
    __set_foreign_keys__ = False

    id = new_id
    created_at = now
    updated_at = now
""",
    "tests/test_manage_$items.py": """\
from features.$items.tests.factories import ${Item}Factory
from tenantry.testing import Api, TenantHandle, problem


async def test_create_and_list(api: Api, acme: TenantHandle) -> None:
    \"""What a member creates, a viewer finds in the list.\"""
    created = await api.as_(acme.member).post("/$path", json={"name": "First"})

    listed = await api.as_(acme.viewer).get("/$path")

    assert 201 == created.status_code
    assert [created.json()] == listed.json()["items"]


async def test_name_is_unique(api: Api, acme: TenantHandle, globex: TenantHandle) -> None:
    \"""A second $word with the same name answers 409 ${item}_name_taken, but not in another tenant.\"""
    await acme.has(${Item}Factory, name="First")

    here = await api.as_(acme.member).post("/$path", json={"name": "First"})
    there = await api.as_(globex.member).post("/$path", json={"name": "First"})

    assert problem(409, "${item}_name_taken") == here
    assert 201 == there.status_code


async def test_rename(api: Api, acme: TenantHandle) -> None:
    \"""A member renames $a_word, and the answer carries the new name.\"""
    $item = await acme.has(${Item}Factory)

    response = await api.as_(acme.member).patch(f"/$path/{$item.id}", json={"name": "Second"})

    assert (200, "Second") == (response.status_code, response.json()["name"])


async def test_delete(api: Api, acme: TenantHandle) -> None:
    \"""A deleted $word answers 404 ${item}_not_found.\"""
    $item = await acme.has(${Item}Factory)

    deleted = await api.as_(acme.member).delete(f"/$path/{$item.id}")

    assert 204 == deleted.status_code
    assert problem(404, "${item}_not_found") == await api.as_(acme.member).get(f"/$path/{$item.id}")


async def test_sent_again(api: Api, acme: TenantHandle) -> None:
    \"""Sent again with its key, a request has one effect; what its answer shows is not sent to whoever has it.\"""
    member, key = api.as_(acme.member), {"Idempotency-Key": "first"}

    first, again = [await member.post("/$path", json={"name": "First"}, headers=key) for _ in range(2)]
    known = {"If-None-Match": first.headers["ETag"]}

    assert (201, first.json()) == (again.status_code, again.json())
    assert 304 == (await member.get(f"/$path/{first.json()['id']}", headers=known)).status_code


async def test_stale_change(api: Api, acme: TenantHandle) -> None:
    \"""Who changes a version that is no more is told, and undoes nobody's change.\"""
    $item = await acme.has(${Item}Factory)
    member, path = api.as_(acme.member), f"/$path/{$item.id}"
    read = {"If-Match": (await member.get(path)).headers["ETag"]}

    answers = [await member.patch(path, json={"name": name}, headers=read) for name in ("Second", "Third")]

    assert 200 == answers[0].status_code
    assert problem(412, "precondition_failed") == answers[1]


async def test_viewer_changes_nothing(api: Api, acme: TenantHandle) -> None:
    \"""A viewer who creates $a_word is refused, and told which permission is missing.\"""
    response = await api.as_(acme.viewer).post("/$path", json={"name": "First"})

    assert problem(403, "permission_missing", permission="$items:write") == response
""",
}
"""By path below the slice's folder; `$item` and the like stand for its names."""
