"""The fast lane is only faster: whatever is asked, the answer is that of the ordinary session."""

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from typing import Any, NamedTuple

import httpx
import msgspec
import pytest
from litestar import Litestar
from structlog.testing import capture_logs

from tenantry.config import Settings
from tenantry.feature import API_PREFIX
from tenantry.ids import new_id
from tenantry.testing import PASSWORD, Account, Api, Mailbox, TenantHandle
from tenantry.testing.databases import DatabaseUrls, TestDatabases
from tests.faults.planted import serving
from tests.isolation.operations import Contract

ID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|(?<=-)[0-9a-f]{12}"
"""One, or the end of one, as in a tenant's slug."""
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|\+00:00)"
SECRETS = {"access_token", "challenge", "csrf_token", "refresh_token", "request_id", "next_cursor", "key", "hint"}
NEVER = str(new_id())
TEXTS = [
    "Apollo", "apollo", "Äpfel & Birnen", "漢字 🚀", "a%b_c\\d", "x' OR '1'='1", "$1 :name %s", " two  blanks ", "\t",
    "", " ", "n\nl", "\0", "a\0b", "\x7f", "\u202e", "é", "x" * 200, "x" * 201, "'", '"', "{}", "NULL",
]  # fmt: skip
BODIES: list[Any] = [
    None, [], {}, {"name": None}, {"name": 7}, {"name": "x", "more": 1}, {"description": "no name"},
    {"name": "long", "description": "d" * 10_000}, {"name": "too long", "description": "d" * 10_001},
    {"name": "NUL", "description": "\0"},
]  # fmt: skip
LISTS = [
    "", "limit=1", "limit=200", "limit=201", "limit=0", "limit=-1", "limit=x", "limit=99999999999999999999", "cursor=",
    "cursor=x", "cursor=%00", "sort=", "sort=name", "sort=-name", "sort=updated_at&limit=3", "sort=-updated_at",
    "sort=id", "sort=x", "include_total=true", "include_total=x", "include_total=true&limit=2&archived=false",
    "archived=true", "archived=false&sort=name&limit=4", "archived=x", "name=a", "name=A&sort=name", "name=%25",
    "name=_", "name=%5C", "name=%00", "name=%F0%9F%9A%80", "name=%FF", "name=", "name=apollo&include_total=true",
    "name=" + "x" * 201, "unknown=1", "limit=1&limit=2", "name[contains]=a", "name[contains]=%25&limit=1",
    "name[contains]=%5C", "name[contains]=_&sort=-name", "name[contains]=%00", "search=apollo", "search=a&limit=1",
    "search=%27", "search=%5C", "search=%00", "search=%3A*&include_total=true", "created_at[gte]=2026-01-01T00:00:00Z",
    "created_at[lt]=2026-01-01T00:00:00%2B01:00&name[contains]=a", "created_at[lt]=x",
    "archived_at[gt]=2020-01-01T00:00:00Z",
    "id[in]=01981f2e-5c1b-7d4e-9a53-0c6f2f0b7a11,01981f2e-5c1b-7d4e-9a53-0c6f2f0b7a12&limit=1",
    "status[in]=active,deleting",
]  # fmt: skip


class Side(NamedTuple):
    """One of two services, each with a database of its own, in which the same has happened."""

    app: Litestar
    api: Api
    mailbox: Mailbox
    tenants: list[TenantHandle]

    def bearer(self, who: str) -> Api:
        tenant = self.tenants[0]
        others = {"stranger": self.tenants[1].owner, "": None}
        account: Account | None = others[who] if who in others else getattr(tenant, who)
        return self.api.as_(account) if account else self.api


class Pair:
    """Asks both sides the same and keeps what they answer, with each id replaced by the number of its appearance."""

    def __init__(self, sides: list[Side]) -> None:
        self.sides = sides
        self.known: list[dict[str, str]] = [{} for _ in sides]
        self.last: list[httpx.Response] = []
        self.differences: list[str] = []
        self.statuses: set[int] = set()

    async def ask(self, method: str, path: str, *, who: str = "owner", **options: Any) -> list[Any]:
        """`{0}` in path and options is what the last answer of each side gives: ids, cursors, tokens."""
        return await self.ask_each(method, [path] * 2, [options] * 2, who=who)

    async def ask_each(self, method: str, paths: list[str], options: list[dict[str, Any]], *, who: str) -> list[Any]:
        self.last = [
            await side.bearer(who).request(method, path, **each)
            for side, path, each in zip(self.sides, paths, options, strict=True)
        ]
        found = [self.normal(number, answer) for number, answer in enumerate(self.last)]
        self.statuses.add(found[0][0])
        if found[0] != found[1]:
            self.differences.append(f"{method} {paths[0][:80]} {str(options[0])[:80]}: {found[0]} and {found[1]}")
        return [answer.json() if is_json(answer) else None for answer in self.last]

    def normal(self, number: int, answer: httpx.Response) -> tuple[int, Any, Any]:
        known = self.known[number]

        def numbered(match: re.Match[str]) -> str:
            return known.setdefault(match[0], f"<id {len(known)}>")

        def plain(value: Any, key: str = "") -> Any:
            if isinstance(value, dict):
                return {key: plain(each, key) for key, each in value.items()}
            if isinstance(value, list):
                return [plain(each) for each in value]
            if key in SECRETS:
                return type(value)
            text = value.replace(answer.headers["x-request-id"], "<request>") if isinstance(value, str) else value
            return re.sub(ID, numbered, re.sub(TIME, "<time>", text)) if isinstance(text, str) else value

        hidden = {"date", "x-request-id", "content-length"}
        headers = {name: value for name, value in answer.headers.items() if name not in hidden}
        if "etag" in headers:  # its digest is of ids and times as well
            headers["etag"] = headers["etag"].partition("-")[0]
        if "link" in headers:
            headers["link"] = re.sub(r"cursor=[\w-]+", "cursor=…", headers["link"])
        return answer.status_code, headers, plain(answer.json() if is_json(answer) else answer.text)


def is_json(answer: httpx.Response) -> bool:
    return "json" in answer.headers.get("content-type", "")


@pytest.fixture(scope="module")
def both_urls(databases: TestDatabases, worker_id: str) -> Iterator[list[DatabaseUrls]]:
    with databases.clone(f"fast_{worker_id}") as fast, databases.clone(f"ordinary_{worker_id}") as ordinary:
        yield [fast, ordinary]


@pytest.fixture(scope="module")
async def sides(
    app: Litestar, both_urls: list[DatabaseUrls], settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[list[Side]]:
    async with AsyncExitStack() as stack:
        sides = []
        for urls, fast in zip(both_urls, (True, False), strict=True):
            home = tmp_path_factory.mktemp("home")
            own = msgspec.structs.replace(
                settings, database_url=urls.runtime, home=str(home), database_pool_size=2, database_fast_lane=fast
            )
            served = await stack.enter_async_context(serving(own))
            tenants = [await served.world.tenant(name) for name in ("acme", "globex")]
            sides.append(Side(served.app, served.api, Mailbox(home / "mail", own), tenants))
        yield sides


@pytest.fixture
def pair(sides: list[Side]) -> Pair:
    pair = Pair(sides)
    for number, side in enumerate(sides):
        for tenant in side.tenants:
            mine = [
                tenant.id,
                *(a.id for a in tenant.accounts.values()),
                *(a.session_id for a in tenant.accounts.values()),
            ]
            pair.known[number] |= {str(id): f"<world {n} of {tenant.name}>" for n, id in enumerate(mine)}
            pair.known[number] |= {tenant.id.hex[-12:]: "<slug>"}
    return pair


def each_json(answers: list[Any], field: str) -> list[str]:
    return [answer[field] for answer in answers]


async def test_projects(pair: Pair) -> None:
    """Creating, reading, changing, archiving and deleting, with good and bad values, by those who may and may not."""
    for who in ("owner", "viewer", "stranger", ""):
        for body in [*({"name": text} for text in TEXTS), *BODIES]:
            created = await pair.ask("POST", "/projects", who=who, json=body)
            if pair.last[0].status_code == 201:
                paths = [f"/projects/{id}" for id in each_json(created, "id")]
                for reader in ("owner", "viewer", "stranger", ""):
                    await pair.ask_each("GET", paths, [{}, {}], who=reader)
    project = [f"/projects/{id}" for id in each_json(await pair.ask("POST", "/projects", json={"name": "P"}), "id")]
    for who in ("owner", "stranger", "viewer"):
        for body in [*({"name": text} for text in TEXTS), *({"description": text} for text in TEXTS), *BODIES]:
            await pair.ask_each("PATCH", project, [{"json": body}] * 2, who=who)
        for action in ("archive", "archive", "restore", "restore", "archive"):
            await pair.ask_each("POST", [f"{path}/{action}" for path in project], [{}, {}], who=who)
    for method in ("PATCH", "GET", "DELETE", "DELETE", "PATCH", "GET"):
        options = {"json": {"name": "late"}} if method == "PATCH" else {}
        await pair.ask_each(method, project, [options] * 2, who="owner")

    assert [] == pair.differences
    assert {200, 201, 204, 400, 401, 403, 404, 409, 422} == pair.statuses


async def test_lists(pair: Pair) -> None:
    """Every page in every order, filtered and counted, and every wrong parameter."""
    for text in TEXTS:
        await pair.ask("POST", "/projects", who="stranger", json={"name": text, "description": text})
    first = await pair.ask("GET", "/projects?limit=2", who="stranger")
    archived = [f"/projects/{answer['items'][0]['id']}/archive" for answer in first]
    await pair.ask_each("POST", archived, [{}, {}], who="stranger")
    for query in LISTS:
        for path in ("/projects", "/tenants"):
            answers = await pair.ask("GET", f"{path}?{query}", who="stranger")
            while pair.last[0].is_success and answers[0].get("next_cursor"):
                cursors = [{"cursor": cursor} for cursor in each_json(answers, "next_cursor")]
                own = [dict(httpx.QueryParams(query)) | cursor for cursor in cursors]
                answers = await pair.ask_each("GET", [path] * 2, [{"params": each} for each in own], who="stranger")
                if len(pair.differences) > 5:
                    break

    assert [] == pair.differences
    assert {200, 400, 422} <= pair.statuses


async def test_accounts_and_tenants(pair: Pair) -> None:
    """From signing up to logging out, with founding a tenant and changing it in between."""
    ada = {"email": "ada@example.com", "password": PASSWORD}
    for body in ({**ada, "name": "Ada"}, {**ada, "name": "\0"}, {**ada, "name": ""}, {**ada, "email": "no"}, {}):
        await pair.ask("POST", "/auth/signup", who="", json=body)
    tokens = [side.mailbox.token(ada["email"]) for side in pair.sides]
    for _ in range(2):
        await pair.ask_each("POST", ["/auth/email/verify"] * 2, [{"json": {"token": t}} for t in tokens], who="")
    for body in ({**ada, "password": "wrong"}, {**ada, "email": "\0"}, {**ada, "tenant_id": NEVER}):
        await pair.ask("POST", "/auth/login", who="", json=body)
    logged_in = await pair.ask("POST", "/auth/login", who="", json=ada)

    async def as_ada(method: str, path: str, **options: Any) -> list[Any]:
        bearers = [{"Authorization": f"Bearer {token}"} for token in each_json(logged_in, "access_token")]
        return await pair.ask_each(method, [path] * 2, [{"headers": own, **options} for own in bearers], who="")

    for slug in ("ada", "ada", "A da", "ada\0", ""):
        for name in ("Ada & Co.", "", "\0"):
            await as_ada("POST", "/tenants", json={"name": name, "slug": slug})
    for method, path in (("GET", "/me"), ("GET", "/tenants"), ("GET", "/tenants/current"), ("GET", "/projects")):
        await as_ada(method, path)
    for patch in ({"name": "Neu"}, {"slug": "ada"}, {"slug": "neu"}, {"name": "\0"}, {}, {"name": None}, {"x": 1}):
        for who in ("owner", "viewer"):
            await pair.ask("PATCH", "/tenants/current", who=who, json=patch)
        await pair.ask("GET", "/tenants/current")
    refreshed = [{"json": {"refresh_token": token}} for token in each_json(logged_in, "refresh_token")]
    for _ in range(2):
        await pair.ask_each("POST", ["/auth/refresh"] * 2, refreshed, who="")
    for method, path in (("POST", "/auth/logout"), ("POST", "/auth/logout"), ("GET", "/me"), ("GET", "/tenants")):
        await as_ada(method, path)

    assert [] == pair.differences
    assert {200, 201, 202, 204, 400, 401, 403, 409, 422} <= pair.statuses


async def test_every_operation_there_is(pair: Pair) -> None:
    """Of the API, with the least valid input, made once for both, and without any, by an owner, a viewer and nobody."""
    contract = Contract(pair.sides[0].app)
    for operation in (each for each in contract.operations if each.path.startswith(API_PREFIX)):
        path = f"/{operation.path.format(**dict.fromkeys(operation.parameters, NEVER))}"
        for who in ("", "viewer", "owner"):
            await pair.ask(operation.method, path, who=who, **contract.options(operation))
            await pair.ask(operation.method, path, who=who)

    assert [] == pair.differences


async def test_the_sides_differ_in_their_lane(pair: Pair) -> None:
    """The proofs above are worth something: one side uses the fast lane and the other one never does."""
    with capture_logs() as logs:
        for method, path in (("GET", "/projects"), ("POST", "/projects"), ("GET", f"/projects/{NEVER}")):
            await pair.ask(method, path, json={"name": f"{new_id()}"})

    assert ["fast", "session"] * 3 == [log["lane"] for log in logs if log["event"] == "request"]
