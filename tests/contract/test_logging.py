"""Logs tell what happened and to whom, a line each, and never what is secret."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from io import StringIO
from typing import Any

import httpx
import msgspec
import pytest
import structlog
from litestar import Litestar
from sqlalchemy import text

from tenantry.app import create_app
from tenantry.config import Settings
from tenantry.db.database import Database
from tenantry.ids import new_id
from tenantry.observability.logging import configure_logging
from tenantry.testing import PASSWORD, Api, Mailbox, TenantHandle, asgi_client

JWT = "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJjYW5hcnkifQ.c2lnbmF0dXJlLWNhbmFyeQ"
PEM = "-----BEGIN PRIVATE KEY-----\nY2FuYXJ5\nY2FuYXJ5\n-----END PRIVATE KEY-----"
EVIL = 'canary\r\n{"event": "forged"}\x1b[31m\x07\x9b\u2028'


class Lines:
    """What a process would have written to its standard output."""

    def __init__(self, stream: StringIO) -> None:
        self.stream = stream

    @property
    def text(self) -> str:
        logging.getLogger().handlers[0].flush()
        return self.stream.getvalue()

    def events(self, name: str | None = None) -> list[dict[str, Any]]:
        """Of JSON lines; each line must be one."""
        found = [json.loads(line) for line in self.text.split("\n")[:-1]]
        return [event for event in found if name in (None, event["event"])]


WriteAs = Callable[[str], Lines]


@pytest.fixture
def write_as(settings: Settings) -> Iterator[WriteAs]:
    """Sends the log, in the given format, where the test can read it."""

    def start(log_format: str) -> Lines:
        configure_logging(msgspec.convert({**msgspec.to_builtins(settings), "log_format": log_format}, Settings))
        stream = StringIO()
        (handler,) = logging.getLogger().handlers
        assert isinstance(handler, logging.StreamHandler)
        handler.setStream(stream)
        return Lines(stream)

    yield start
    configure_logging(settings)


@pytest.fixture
async def production(app: Litestar, settings: Settings) -> AsyncIterator[Api]:
    """A client of a service in production; `app` is asked for so that lifespans nest."""
    service = create_app(msgspec.structs.replace(settings, env="production", public_url="https://tenantry.example"))
    async with service.lifespan(), asgi_client(service, url="https://tenantry.example") as client:
        yield Api(client)


async def test_one_line_for_a_request(api: Api, acme: TenantHandle, write_as: WriteAs) -> None:
    """Each request has one access line, with who, where, what came of it, and how long it took."""
    lines = write_as("json")
    response = await api.as_(acme.member).get(f"/projects/{new_id()}")
    (line,) = lines.events("request")

    assert {
        "request_id": response.headers["x-request-id"],
        "actor": str(acme.member.id),
        "tenant": str(acme.id),
        "method": "GET",
        "route": "/api/v1/projects/{project_id}",
        "status": 404,
        "bytes": len(response.content),
    }.items() <= line.items()
    assert 0 < line["milliseconds"] < 60_000
    assert {"timestamp", "level", "logger", "client"} <= line.keys()


@pytest.mark.parametrize("log_format", ["json", "console"])
async def test_api_key_is_named_and_not_shown(
    production: Api, acme: TenantHandle, write_as: WriteAs, log_format: str
) -> None:
    """The access line names the key and its holder; its text is nowhere, wherever a client or a log call puts it."""
    key = await acme.key(acme.member.id, ["projects:read"])
    lines = write_as(log_format)
    for headers in ({"X-API-Key": key.text}, {"Authorization": f"Bearer {key.text}"}, {"User-Agent": key.text}):
        await production.get(f"/projects?sort={key.text}", headers=headers)
    form = {"grant_type": "client_credentials", "client_id": key.text, "client_secret": key.text}
    await production.post("/auth/token", data=form)
    await production.get(f"/{key.text}", headers={"X-Request-ID": key.text})
    structlog.get_logger("test").warning(f"odd {key.text}", value=[key.text], error=ValueError(key.text))

    assert key.text[-20:] not in lines.text
    if log_format == "json":
        named = [(line.get("actor"), line.get("api_key")) for line in lines.events("request")]
        assert [(str(acme.member.id), str(key.id))] * 2 == named[:2]
        assert {(None, None)} == set(named[2:])


@pytest.mark.parametrize("path", ["/nowhere", "//health/live", "/projects"])
async def test_context_does_not_leak_into_the_next_request(
    api: Api, acme: TenantHandle, write_as: WriteAs, path: str
) -> None:
    """After a member's request an anonymous one, of the same task, is logged without actor and tenant."""
    lines = write_as("json")
    await api.as_(acme.member).get("/projects")
    response = await api.get(path)
    line = lines.events("request")[-1]

    assert response.headers["x-request-id"] == line["request_id"]
    assert (None, None) == (line.get("actor"), line.get("tenant"))


async def test_concurrent_requests_keep_their_own_context(
    api: Api, acme: TenantHandle, globex: TenantHandle, write_as: WriteAs
) -> None:
    """Of requests at the same time each line carries its own actor and tenant."""
    lines = write_as("json")
    accounts = [acme.member, globex.owner] * 10
    responses = await asyncio.gather(*(api.as_(account).get("/projects") for account in accounts))
    logged = {line["request_id"]: (line["actor"], line["tenant"]) for line in lines.events("request")}

    assert [(str(account.id), str(account.tenant_id)) for account in accounts] == [
        logged[response.headers["x-request-id"]] for response in responses
    ]


@pytest.mark.parametrize("log_format", ["json", "console"])
async def test_life_of_an_account_leaves_no_secret(
    production: Api, mailbox: Mailbox, write_as: WriteAs, log_format: str
) -> None:
    """From sign-up to logout no password, token or address is logged, not even one in a query or a wrong field."""
    lines = write_as(log_format)
    email = f"canary.o'hara!{log_format}@example.com"
    login = {"email": email, "password": PASSWORD}
    statuses = [(await production.post("/auth/signup", json={**login, "name": "Canary Name"})).status_code]
    link = mailbox.token(email)
    statuses += [
        (await production.get(f"/auth/email/verify?token={link}")).status_code,
        (await production.post("/auth/email/verify", json={"token": link})).status_code,
        (await production.post("/auth/login", json={**login, "password": "canary-wrong"})).status_code,
        (await production.post("/auth/login", json={"email": "canary-as-email", "password": email})).status_code,
        (await production.post("/auth/login", json={**login, "user": "canary-field"})).status_code,
    ]
    first = (await production.post("/auth/login", json=login)).json()
    second = (await production.post("/auth/refresh", json={"refresh_token": first["refresh_token"]})).json()
    owner = production.bearing(second["access_token"])
    statuses += [
        (await owner.get(f"/me?email={email}&canary=query")).status_code,
        (await owner.get(f"/canary/{email}")).status_code,
        (await owner.post("/auth/logout")).status_code,
        (await owner.get("/me")).status_code,
    ]
    secrets = [PASSWORD, link, *(pair[name] for pair in (first, second) for name in ("access_token", "refresh_token"))]

    assert [202, 200, 204, 401, 401, 422, 200, 404, 204, 401] == statuses
    assert lines.text.count("login.refused") == 2
    assert "canary" not in lines.text.lower()
    assert "o'hara" not in lines.text
    assert [] == [secret for secret in secrets if secret in lines.text]


@pytest.mark.parametrize(
    "message",
    [
        "mail to canary.smith+x@canary.example failed",
        f"bad token {JWT}",
        f"bad key tny_{'canary-_' * 12}abcd",
        f"https://example.com/?key=tny_{'canary-_' * 12}abcd&more",
        "header Authorization: Bearer canary-0123456789",
        "cannot reach postgresql://tenantry_app:canary@db.example/tenantry",
        "cannot reach redis://:canary@cache.example:6379/0",
        f"key {PEM} is odd",
        "stored $argon2id$v=19$m=19456,t=2,p=1$canary$canary for her",
        'new row violates check constraint "ck"\nDETAIL:  Failing row contains (7, canary, null).',
    ],
)
@pytest.mark.parametrize("log_format", ["json", "console"])
def test_secrets_in_a_message_are_masked(write_as: WriteAs, log_format: str, message: str) -> None:
    """Wherever it stands: as event, as value at any depth, in an exception or in a library's own log line."""
    lines = write_as(log_format)
    log = structlog.get_logger("test")
    log.info(message, text=message, inner={"list": [message, (message,)]}, error=ValueError(message))
    logging.getLogger("library").warning("it said %s", message)
    try:
        fail(message)
    except RuntimeError:
        log.exception("failed")
        logging.getLogger("library").exception("failed")

    assert "canary" not in lines.text
    assert "Y2FuYXJ5" not in lines.text
    assert 2 == lines.text.count("RuntimeError: ")


def fail(message: str) -> None:
    raise RuntimeError(message)


class Login(msgspec.Struct):
    password: str
    inner: "Login | None" = None


@pytest.mark.parametrize(
    "value",
    [
        {"password": "canary", "headers": {"Authorization": "canary", "Cookie": ["canary"]}},
        {"refresh_token": b"canary"},
        [{"client_secret": "canary"}],
        Login("canary", Login("canary")),
    ],
)
def test_secrets_are_masked_by_their_name(write_as: WriteAs, value: Any) -> None:
    """What is called a password, token or secret is masked whatever it looks like, in Structs as well."""
    lines = write_as("json")
    structlog.get_logger("test").info("event", value=value, api_key="canary", session_token=7, email="canary")

    assert "canary" not in lines.text
    assert "***" in lines.text


async def test_failed_statement_shows_no_parameters(database: Database, write_as: WriteAs) -> None:
    """The traceback of a failing statement has its SQL, not the values that it was given."""
    lines = write_as("json")
    statement = text("SELECT 1 / 0 WHERE :value <> ''").bindparams(value="canary")
    try:
        async with database.transaction() as unit_of_work:
            await unit_of_work.scalar(statement)
    except Exception:
        structlog.get_logger("test").exception("failed")

    assert "division by zero" in lines.text
    assert "SELECT 1 / 0" in lines.text
    assert "canary" not in lines.text


@pytest.mark.parametrize("log_format", ["json", "console"])
async def test_nobody_forges_a_line(api: Api, write_as: WriteAs, log_format: str) -> None:
    """Line breaks and escape sequences of a client add no line, and reach no terminal."""
    lines = write_as(log_format)
    raw = EVIL.encode()
    await api.post("/auth/login", json={"email": EVIL, "password": EVIL}, headers={"User-Agent": raw})
    await api.get("/nowhere", headers={"User-Agent": raw, "X-Request-ID": raw, "X-Forwarded-For": raw})
    await api.get(f"//{httpx.QueryParams({'x': EVIL})}")
    structlog.get_logger("test").info(f"event {EVIL}", value=EVIL, inner=[EVIL])
    logging.getLogger("library").warning("it said %s", EVIL)

    assert 6 == lines.text.count("\n")
    assert [] == [character for character in lines.text if not character.isprintable() and character != "\n"]


def test_a_traceback_is_one_json_line(write_as: WriteAs) -> None:
    """An exception, whose message has line breaks, is one line that a machine can read."""
    lines = write_as("json")
    try:
        fail(EVIL)
    except RuntimeError:
        structlog.get_logger("test").exception("failed")
    (line,) = lines.events()

    assert ("failed", "error") == (line["event"], line["level"])
    assert "Traceback (most recent call last)" in line["exception"]


async def test_password_of_the_database_is_not_logged(app: Litestar, settings: Settings, write_as: WriteAs) -> None:
    """A database that cannot be reached is reported without the credentials of its address."""
    url = "postgresql://tenantry_app:canary@127.0.0.1:1/tenantry"
    service = create_app(msgspec.structs.replace(settings, database_url=url))
    lines = write_as("json")
    async with service.lifespan(), asgi_client(service) as client:
        ready = await client.get("/health/ready")
        login = await Api(client).post("/auth/login", json={"email": "a@b.cd", "password": "secret"})

    assert (503, 503) == (ready.status_code, login.status_code)
    assert "canary" not in lines.text + ready.text + login.text
    assert lines.events("unavailable")
