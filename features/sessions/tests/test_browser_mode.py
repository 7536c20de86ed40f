import re
from typing import Any

import httpx
import pytest
from litestar import Litestar

from tenantry.feature import API_PREFIX
from tenantry.ids import new_id
from tenantry.testing import PASSWORD, Account, Api, TenantHandle, World, problem

ORIGIN = {"Origin": "http://127.0.0.1:8000", "Sec-Fetch-Site": "same-origin"}
ASKS = {"X-Session-Mode": "cookie", **ORIGIN}
ACCESS, REFRESH = "__Host-tenantry-access", "__Host-tenantry-refresh"


class Page:
    """A page of this service in a browser, which keeps cookies, and what it was told of the CSRF token."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.cookies: dict[str, str] = {}
        self.token = ""
        self.set: list[str] = []

    async def log_in(self, account: Account) -> httpx.Response:
        login = {"email": account.email, "password": PASSWORD}
        return await self.send("POST", "/auth/login", json=login, headers={"X-Session-Mode": "cookie"})

    async def send(
        self, method: str, path: str, *, headers: dict[str, str] | None = None, **options: Any
    ) -> httpx.Response:
        jar = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())} if self.cookies else {}
        given = {**ORIGIN, "X-CSRF-Token": self.token, **jar, **(headers or {})}
        response = await self.api.request(method, path, headers=given, **options)
        self.set = response.headers.get_list("set-cookie")
        for line in self.set:
            name, _, value = line.partition(";")[0].partition("=")
            self.cookies[name] = value
            if "Max-Age=0;" in line:
                del self.cookies[name]
        if response.is_success and response.content:
            self.token = response.json().get("csrf_token", self.token)
        return response


@pytest.fixture
async def page(api: Api, acme: TenantHandle) -> Page:
    """Logged in as the owner of Acme."""
    page = Page(api)
    assert (await page.log_in(acme.owner)).status_code == 200
    return page


@pytest.mark.asvs("3.3.1", "3.3.2", "3.3.3", "3.3.4", "3.3.5", "10.1.1")
async def test_log_in_by_cookie(api: Api, acme: TenantHandle) -> None:
    """The tokens are in cookies that scripts cannot read and other sites cannot send, and nowhere in the body."""
    page = Page(api)
    response = await page.log_in(acme.owner)
    mine = await page.send("GET", "/auth/sessions")

    assert {ACCESS, REFRESH} == page.cookies.keys()
    for line in page.set:
        assert re.search(r"; Max-Age=\d+; Path=/; Secure; HttpOnly; SameSite=Strict$", line)
        assert len(line) < 4096
    assert {"token_type", "expires_in", "session_id", "tenant_id", "csrf_token"} == response.json().keys()
    assert not [value for value in page.cookies.values() if value in response.text]
    assert (200, response.json()["session_id"]) == (mine.status_code, mine.json()["items"][0]["id"])


async def test_without_asking_there_is_no_cookie(api: Api, acme: TenantHandle) -> None:
    """A log-in that asks for no cookies gets tokens in the body, and nothing else changes."""
    response = await api.post("/auth/login", json={"email": acme.owner.email, "password": PASSWORD})

    assert "set-cookie" not in response.headers
    assert {
        "access_token",
        "refresh_token",
        "token_type",
        "expires_in",
        "session_id",
        "tenant_id",
    } == response.json().keys()


@pytest.mark.asvs("3.5.1")
@pytest.mark.parametrize(
    "headers",
    [
        {"X-CSRF-Token": ""},
        {"X-CSRF-Token": "0" * 64},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:8001"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "", "Sec-Fetch-Site": ""},
        {"Origin": "", "Sec-Fetch-Site": "none"},
    ],
)
async def test_forged_requests_do_not_count(page: Page, headers: dict[str, str]) -> None:
    """Where token, Origin or Sec-Fetch-Site says that it was another page, nothing is changed; reading needs none."""
    tenant = {"name": "Gemini", "slug": f"gemini-{new_id()}"}
    forged = await page.send("POST", "/tenants", json=tenant, headers=headers)
    refreshed = await page.send("POST", "/auth/refresh", headers=headers)
    listed = await page.send("GET", "/tenants", headers={"X-CSRF-Token": ""})
    made = await page.send("POST", "/tenants", json=tenant)

    assert [problem(403, "csrf_failed")] * 2 == [forged, refreshed]
    assert (200, 1, 201) == (listed.status_code, len(listed.json()["items"]), made.status_code)


@pytest.mark.asvs("3.5.1")
async def test_token_is_of_one_session(api: Api, page: Page, acme: TenantHandle) -> None:
    """The token of another session, even of the same person, is no token; a GET tells one's own."""
    other = Page(api)
    await other.log_in(acme.owner)
    foreign = await page.send("POST", "/auth/logout", headers={"X-CSRF-Token": other.token})
    told = await page.send("GET", "/auth/csrf")

    assert problem(403, "csrf_failed") == foreign
    assert (page.token, True) == (told.json()["csrf_token"], page.token != other.token)


@pytest.mark.asvs("3.3.4")
async def test_refresh_by_cookie(page: Page) -> None:
    """Without a body the token is the cookie's, and works once: the next one is in the cookie of the answer."""
    before = dict(page.cookies)
    del page.cookies[ACCESS]
    refreshed = await page.send("POST", "/auth/refresh")
    mine = await page.send("GET", "/auth/sessions")

    assert (200, 200) == (refreshed.status_code, mine.status_code)
    assert not {"access_token", "refresh_token"} & refreshed.json().keys()
    assert all(before[name] != page.cookies[name] for name in (ACCESS, REFRESH))


async def test_refresh_without_any_token(api: Api) -> None:
    """Neither body nor cookie is 401, as a wrong token is; an empty one is named as a fault."""
    nothing = await api.post("/auth/refresh")
    empty = await api.post("/auth/refresh", json={"refresh_token": ""})

    assert problem(401, "invalid_refresh_token") == nothing
    assert problem(422, "validation_failed") == empty


async def test_switch_by_cookie(page: Page, world: World, acme: TenantHandle, globex: TenantHandle) -> None:
    """Whoever came by cookie gets the token of the other tenant in a cookie."""
    made = await page.send("POST", "/tenants", json={"name": "Initech", "slug": f"initech-{acme.id.hex}"})
    switched = await page.send("POST", "/auth/switch", json={"tenant_id": made.json()["id"]})
    current = await page.send("GET", "/tenants/current")

    assert (201, 200) == (made.status_code, switched.status_code)
    assert "access_token" not in switched.json()
    assert made.json()["id"] == current.json()["id"]


async def test_log_out_clears_the_cookies(page: Page) -> None:
    """After it the browser has none, and what it had is good for nothing."""
    had = dict(page.cookies)
    out = await page.send("POST", "/auth/logout")
    left, page.cookies = page.cookies, had
    after = [await page.send("GET", "/auth/sessions"), await page.send("POST", "/auth/refresh")]

    assert (204, {}) == (out.status_code, left)
    assert [problem(401, "session_ended"), problem(401, "invalid_refresh_token")] == after


@pytest.mark.asvs("7.2.4")
async def test_log_in_replaces_the_session(page: Page, world: World, acme: TenantHandle) -> None:
    """Whoever logs in over cookies of before, as the same person or another, ends their session; no other does."""
    had, token = dict(page.cookies), page.token
    again = await page.log_in(await world.account("grace"))
    foreign = {"headers": {"Origin": "https://evil.example", "X-Session-Mode": "cookie"}}
    login = {"email": acme.owner.email, "password": PASSWORD}
    forged = await page.send("POST", "/auth/login", json=login, **foreign)
    kept = await page.send("GET", "/auth/sessions")
    page.cookies, page.token = had, token
    over = [await page.send("GET", "/auth/sessions"), await page.send("POST", "/auth/refresh")]

    assert (200, 200) == (again.status_code, kept.status_code)
    assert problem(403, "csrf_failed") == forged
    assert [problem(401, "session_ended"), problem(401, "invalid_refresh_token")] == over


async def test_two_credentials(page: Page, acme: TenantHandle) -> None:
    """A cookie beside a header, or two of its name, are 401; cookies of others do not matter."""
    value = page.cookies[ACCESS]
    beside = await page.send("GET", "/auth/sessions", headers={"Authorization": f"Bearer {acme.owner.token}"})
    twice = await page.send("GET", "/auth/sessions", headers={"Cookie": f"{ACCESS}={value}; {ACCESS}={value}"})
    page.cookies = {"theme": "dark", "x" + ACCESS: "y", ACCESS: value}
    alone = await page.send("GET", "/auth/sessions")

    assert [problem(401, "unauthenticated")] * 2 == [beside, twice]
    assert 200 == alone.status_code


@pytest.mark.asvs("3.5.1", "7.6.2")
@pytest.mark.parametrize(
    "headers", [{"Origin": "https://evil.example"}, {"Origin": "", "Sec-Fetch-Site": "cross-site"}]
)
async def test_nobody_is_logged_in_by_another_page(api: Api, acme: TenantHandle, headers: dict[str, str]) -> None:
    """A page of another origin cannot log its visitor in as somebody else."""
    login = {"email": acme.owner.email, "password": PASSWORD}
    response = await api.post("/auth/login", json=login, headers={**ASKS, **headers})

    assert problem(403, "csrf_failed") == response
    assert "set-cookie" not in response.headers


@pytest.mark.asvs("3.4.2")
async def test_service_allows_no_other_origin(app: Litestar, api: Api) -> None:
    """No answer has a header that lets pages of other origins read it or send more than forms."""
    asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    response = await api.client.options(f"{API_PREFIX}/auth/login", headers=asked)

    assert not [name for name in response.headers if name.startswith("access-control-")]
