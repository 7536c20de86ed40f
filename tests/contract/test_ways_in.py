"""What opens a session, and what does not."""

from typing import Any

import psycopg
import pytest
from litestar import Litestar
from psycopg import sql
from sqlalchemy import text

from tenantry.testing import PASSWORD, Api, Mailbox, TenantHandle, World, problem
from tenantry.testing.databases import TestDatabases
from tests.contract import security_document as document
from tests.isolation.operations import Contract, Operation

ENROL = text("UPDATE users SET second_factor_at = now() WHERE id = :id")
COUNT = sql.SQL("SELECT count(*) FROM {}")
NEW = "seven zebras on a train"


@pytest.fixture(scope="module")
def contract(app: Litestar) -> Contract:
    return Contract(app)


def gives_tokens(contract: Contract, operation: Operation) -> bool:
    """Whether an answer that is no error may have an access token."""
    answers = [answer for status, answer in operation.document.get("responses", {}).items() if status.startswith("2")]
    schemas = [content["schema"] for answer in answers for content in answer.get("content", {}).values()]
    return any(has_token(contract, schema) for schema in schemas)


def has_token(contract: Contract, schema: dict[str, Any]) -> bool:
    if "$ref" in schema:
        return has_token(contract, contract.document["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
    alternatives = [each for kind in ("allOf", "anyOf", "oneOf") for each in schema.get(kind) or ()]
    return "access_token" in schema.get("properties", {}) or any(has_token(contract, each) for each in alternatives)


@pytest.mark.asvs("6.1.3", "6.3.4")
async def test_ways_in_are_as_documented(contract: Contract) -> None:
    """Each route that gives tokens is in the document, and all routes that it names are there."""
    routes = {str(each).replace(" /api/v1/", " /") for each in contract.operations}
    ways = {str(each).replace(" /api/v1/", " /") for each in contract.operations if gives_tokens(contract, each)}
    named = {each for each in document.words(document.text()) if each.split(" ")[0] in ("GET", "POST", "DELETE")}

    assert ways == document.column("Way").keys()
    assert named <= routes


@pytest.mark.asvs("6.3.4")
async def test_second_factor_is_asked_for_by_every_way(api: Api, world: World) -> None:
    """Of an account that has one, no form of the password gives a token: each answer is a refusal."""
    ada = await world.account()
    async with world.database.transaction() as unit_of_work:
        await unit_of_work.execute(ENROL.bindparams(id=ada.id))
    form = {"grant_type": "password", "username": ada.email, "password": ada.password}
    login = await api.post("/auth/login", json={"email": ada.email, "password": ada.password})
    by_form = await api.post("/auth/token", data=form)
    again = await api.as_(ada).post("/auth/reauthenticate", json={"password": ada.password})

    assert [problem(401, "second_factor_required")] * 2 == [login, again]
    assert problem(400, "invalid_grant") == by_form
    assert not [each for each in (login, by_form, again) if "token" in each.json() or "set-cookie" in each.headers]


@pytest.mark.asvs("6.3.6")
async def test_mail_opens_nothing(api: Api, world: World, acme: TenantHandle, mailbox: Mailbox) -> None:
    """A link in a mail begins no session, and what is in it is no credential, no code and no challenge."""
    ada, email, moved = await world.account(), f"new-{acme.id.hex}@example.com", f"moved-{acme.id.hex}@example.com"
    await api.post("/auth/signup", json={"email": email, "password": PASSWORD, "name": "Grace"})
    await api.post("/auth/password/forgot", json={"email": ada.email})
    tokens = {"/auth/email/verify": mailbox.token(email), "/auth/password/reset": mailbox.token(ada.email)}
    await api.as_(acme.member).post("/me/email", json={"email": moved})
    tokens["/me/email/confirm"] = mailbox.token(moved)
    await api.as_(acme.owner).post("/invitations", json={"email": ada.email, "role": "member"})
    invited = mailbox.token(ada.email)
    opened = []
    for token in (*tokens.values(), invited):
        opened += [
            await api.bearing(token).get("/me"),
            await api.post("/auth/refresh", json={"refresh_token": token}),
            await api.post("/auth/mfa/verify", json={"challenge": token, "code": "123456"}),
            await api.post("/auth/sso/complete", json={"code": token}),
        ]
    extra = {"/auth/password/reset": {"password": NEW}}
    used = [await api.post(path, json={"token": token} | extra.get(path, {})) for path, token in tokens.items()]

    assert {400, 401} == {each.status_code for each in opened}
    assert [204, 204, 200] == [each.status_code for each in used]
    assert ["", "", '{"status":"waiting"}'] == [each.text for each in used]
    assert not [each for each in used if "set-cookie" in each.headers]


@pytest.mark.asvs("6.4.2")
async def test_nothing_hints_at_a_password(api: Api, contract: Contract, world: World) -> None:
    """No body takes a hint or a question of security, and none is kept or shown of a person."""
    schemas = contract.document["components"]["schemas"]
    fields = {f"{name}.{field}" for name, schema in schemas.items() for field in schema.get("properties", {})}
    async with world.database.transaction() as unit_of_work:
        columns = text("SELECT column_name FROM information_schema.columns WHERE table_name IN ('users', 'sign_ups')")
        kept = {row.column_name for row in await unit_of_work.rows(columns)}
    form = {"email": f"{(await world.account()).id}@example.com", "password": PASSWORD, "name": "Ada"}
    hinted = await api.post("/auth/signup", json=form | {"hint": "my cat"})

    hints = {field for field in fields | kept if any(word in field.lower() for word in ("hint", "question", "remind"))}
    assert {"ApiKey.hint", "NewApiKey.hint"} == hints  # the end of the key, by which its owner knows it again
    assert problem(422, "validation_failed") == hinted


@pytest.mark.asvs("6.3.2")
def test_nobody_is_there_from_the_start(databases: TestDatabases, worker_id: str) -> None:
    """A database that was just migrated has neither people, nor programs, nor tenants, nor keys."""
    with databases.clone(f"nobody_{worker_id}") as urls, psycopg.connect(urls.conninfo) as connection:
        counts = {
            table: connection.execute(COUNT.format(sql.Identifier(table))).fetchall()
            for table in ("users", "sign_ups", "memberships", "service_accounts", "api_keys", "sessions", "tenants")
        }

    assert {((0,),)} == {tuple(count) for count in counts.values()}
