"""Cookies in a real browser: pages of the service use them, no script reads them, no page elsewhere sends them."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from selenium.webdriver import Chrome

from tenantry.config import Settings
from tenantry.testing import PASSWORD, TenantHandle
from tenantry.testing.service import LiveService

pytestmark = pytest.mark.browser

CALL = """
const [url, options, done] = arguments;
(async () => {
    try {
        const answer = await fetch(url, {credentials: "include", ...options});
        done([answer.status, answer.status === 204 ? null : await answer.json()]);
    } catch (error) {
        done([0, String(error)]);
    }
})();
"""
FORM = """
const form = document.createElement("form");
[form.action, form.method, form.enctype] = [arguments[0], "post", "text/plain"];
document.body.append(form);
form.submit();
"""


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """To nobody."""


@contextmanager
def another_origin(folder: Path) -> Iterator[str]:
    """A site of somebody else: another host for the browser, and one that it holds to be as safe."""
    (folder / "index.html").write_text("<!doctype html><title>elsewhere</title><body></body>")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://localhost:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


class Browser:
    def __init__(self, chrome: Chrome, service: LiveService) -> None:
        self.chrome, self.url = chrome, service.url

    def call(self, method: str, path: str, body: str | None = None, **headers: str) -> tuple[int, Any]:
        """From the page that is open."""
        options = {"method": method, "headers": {**headers, **({"Content-Type": "application/json"} if body else {})}}
        if body:
            options["body"] = body
        status, answer = self.chrome.execute_async_script(CALL, f"{self.url}/api/v1{path}", options)
        return status, answer

    def log_in(self, email: str) -> str:
        self.chrome.get(f"{self.url}/docs")
        body = f'{{"email": "{email}", "password": "{PASSWORD}"}}'
        status, answer = self.call("POST", "/auth/login", body, **{"X-Session-Mode": "cookie"})
        assert status == 200
        return str(answer["csrf_token"])


@pytest.fixture
def tab(browser: Chrome, live_service: LiveService) -> Browser:
    return Browser(browser, live_service)


async def test_page_of_the_service_works_by_cookie(tab: Browser, acme: TenantHandle) -> None:
    """Over plain http on this machine, too, Chromium keeps the cookies; the page uses them and cannot read them."""
    token = tab.log_in(acme.owner.email)
    readable = tab.chrome.execute_script("return document.cookie")
    kept = {each["name"]: each for each in tab.chrome.get_cookies()}
    listed = tab.call("GET", "/projects")
    without = tab.call("POST", "/projects", '{"name": "Gemini"}')
    made = tab.call("POST", "/projects", '{"name": "Gemini"}', **{"X-CSRF-Token": token})
    renewed = tab.call("POST", "/auth/refresh", **{"X-CSRF-Token": token})
    out = tab.call("POST", "/auth/logout", **{"X-CSRF-Token": token})
    after = tab.call("GET", "/me")

    assert "" == readable
    assert {"__Host-tenantry-access", "__Host-tenantry-refresh"} == kept.keys()
    assert [(True, True, "Strict")] * 2 == [
        (each["httpOnly"], each["secure"], each["sameSite"]) for each in kept.values()
    ]
    assert (200, 403, 201, 200, 204, 401) == (listed[0], without[0], made[0], renewed[0], out[0], after[0])
    assert "csrf_failed" == without[1]["code"]
    assert [] == tab.chrome.get_cookies()


async def test_page_elsewhere_counts_for_nothing(
    tab: Browser, acme: TenantHandle, settings: Settings, tmp_path: Path
) -> None:
    """A page of another origin can neither read an answer nor change anything, even if it knows the CSRF token."""
    token = tab.log_in(acme.owner.email)
    with another_origin(tmp_path) as elsewhere:
        tab.chrome.get(elsewhere)
        read = tab.call("GET", "/me")
        sent = tab.call("POST", "/projects", '{"name": "Gemini"}', **{"X-CSRF-Token": token})
        simple = tab.chrome.execute_async_script(
            CALL, f"{tab.url}/api/v1/auth/logout", {"method": "POST", "mode": "no-cors"}
        )
        tab.chrome.execute_script(FORM, f"{tab.url}/api/v1/auth/logout")
    tab.chrome.get(f"{tab.url}/docs")
    listed = tab.call("GET", "/projects")

    assert (0, 0, 0) == (read[0], sent[0], simple[0])
    assert (200, []) == (listed[0], listed[1]["items"])
