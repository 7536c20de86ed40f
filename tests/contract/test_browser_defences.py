"""What every answer tells a browser, and what a page of another origin can make it do."""

import httpx
import psycopg
import pytest
from litestar import Litestar
from psycopg import sql

from tenantry.security.browser import ACCESS_COOKIE, REFRESH_COOKIE
from tenantry.testing import Api, TenantHandle
from tenantry.testing.databases import DatabaseUrls
from tests.isolation.operations import Contract

EVIL = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
SIMPLE_TYPES = ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x")
"""What a page may send anywhere without asking first."""
HARMLESS = {"POST /api/v1/auth/passkeys/login/options"}
"""Asks for a random challenge, which says nothing of anybody; the page cannot read it."""
UNCOUNTED = {"sso_flows", "throttles"}
"""Of a log-in by a provider, which begins with a link and is good for its own browser only; of how often one asks."""
YEAR_SECONDS = 31_536_000


@pytest.fixture(scope="module")
def contract(app: Litestar) -> Contract:
    return Contract(app)


def weaknesses(answer: httpx.Response) -> list[str]:
    """What a browser would be allowed to do with it."""
    headers = answer.headers
    policy = dict(each.strip().partition(" ")[::2] for each in headers.get("content-security-policy", "").split(";"))
    transport = headers.get("strict-transport-security", "max-age=0").split("; ")
    found = {
        "plain http": int(transport[0].removeprefix("max-age=")) < YEAR_SECONDS or "includeSubDomains" not in transport,
        "plug-ins": policy.get("object-src", policy.get("default-src")) != "'none'",
        "another base": policy.get("base-uri") != "'none'",
        "frames": policy.get("frame-ancestors") != "'none'",
        "scripts": policy.get("script-src", policy.get("default-src")) not in ("'none'", "'self'"),
        "sniffing": headers.get("x-content-type-options") != "nosniff",
        "referrer": headers.get("referrer-policy") != "no-referrer",
    }
    return [name for name, is_open in found.items() if is_open]


def test_missing_defences_are_seen() -> None:
    """The test below would report an answer without headers, and one that weakens each of them."""
    weak = {
        "Content-Security-Policy": "default-src *; frame-ancestors *; base-uri 'self'",
        "Strict-Transport-Security": "max-age=600; includeSubDomains",
    }

    assert 7 == len(weaknesses(httpx.Response(200)))
    assert 7 == len(weaknesses(httpx.Response(200, headers=weak)))


@pytest.mark.asvs("3.2.1", "3.4.1", "3.4.3", "3.4.4", "3.4.5", "3.4.6")
async def test_every_answer_has_its_defences(api: Api, acme: TenantHandle, contract: Contract) -> None:
    """Of every route, answered or refused, and where there is none: TLS, no frames, no scripts but the service's own
    files, no guessing of types, no referrer. Nothing that shows what people have written is a page.
    """
    owner, answers, private_pages = api.as_(acme.owner), {}, []
    for operation in contract.operations:
        answers[str(operation)] = await contract.call(api, operation)
        if operation.method == "GET":
            shown = answers[f"{operation} for an owner"] = await contract.call(owner, operation)
            if "html" in shown.headers.get("content-type", "") and not operation.is_public:
                private_pages.append(str(operation))
    for method, path in (("GET", "/nothing"), ("PUT", "/me"), ("OPTIONS", "/me"), ("HEAD", "/me"), ("GET", "//docs")):
        answers[f"{method} {path}"] = await api.request(method, path)
    answers["too large"] = await api.post("/auth/login", content=b"x" * 2_000_000)

    assert {200, 401, 404, 405, 413} <= {answer.status_code for answer in answers.values()}
    assert {} == {name: found for name, answer in answers.items() if (found := weaknesses(answer))}
    assert [] == private_pages


@pytest.mark.asvs("3.5.1", "3.5.2")
@pytest.mark.parametrize("content_type", SIMPLE_TYPES)
async def test_nothing_changes_without_a_preflight(
    api: Api, acme: TenantHandle, contract: Contract, content_type: str
) -> None:
    """By what a page elsewhere can send without asking, with the cookies of its visitor, no route does anything."""
    jar = f"{ACCESS_COOKIE}={acme.owner.token}; {REFRESH_COOKIE}=none"
    headers = {"Cookie": jar, "Content-Type": content_type, **EVIL}
    asked = [each for each in contract.operations if each.method == "POST" and str(each) not in HARMLESS]
    done = []
    for operation in asked:
        answer = await contract.call(api, operation, headers=headers)
        if answer.is_success or "set-cookie" in answer.headers:
            done.append((str(operation), answer.status_code))

    assert len(asked) > 40
    assert [] == done


def digests(urls: DatabaseUrls) -> dict[str, object]:
    """Of all rows of each table."""
    with psycopg.connect(urls.conninfo) as connection:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        whole = sql.SQL("SELECT md5(string_agg(t::text, ' ' ORDER BY t::text)) FROM {} t")
        return {
            name: connection.execute(whole.format(sql.Identifier(name))).fetchall()
            for (name,) in tables
            if name not in UNCOUNTED
        }


@pytest.mark.asvs("3.5.3", "7.6.2")
async def test_reading_changes_nothing(
    api: Api, acme: TenantHandle, contract: Contract, database_urls: DatabaseUrls
) -> None:
    """No GET, HEAD or OPTIONS changes a row or opens a session, and none answers with a token, in body or cookie."""
    owner, before, told = api.as_(acme.owner), digests(database_urls), []
    for operation in contract.operations:
        if operation.method == "GET":
            ids = {"user_id": str(acme.member.id)}
            answers = [await contract.call(caller, operation, ids) for caller in (api, owner)]
            path = f"/{operation.path.format(**dict.fromkeys(operation.parameters, acme.member.id))}"
            answers += [await owner.request(method, path) for method in ("HEAD", "OPTIONS")]
            told += [
                str(operation) for each in answers if "access_token" in each.text or ACCESS_COOKIE in str(each.headers)
            ]
    created = await owner.post("/tenants", json={"name": "Initech", "slug": f"initech-{acme.id.hex}"})
    after = digests(database_urls)

    assert 201 == created.status_code
    assert {"memberships", "tenants"} == {table for table, digest in after.items() if before[table] != digest}
    assert [] == told
