"""What a person does at /docs, in a real browser, against a real process."""

import json
from collections.abc import Callable
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import pytest
from litestar import Litestar
from litestar.routes import HTTPRoute
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

from tenantry.testing import Account, TenantHandle
from tenantry.testing.service import LiveService

pytestmark = pytest.mark.browser

PATIENCE = 30


class Docs:
    """The page, by what a person sees of it."""

    def __init__(self, browser: Chrome, service: LiveService) -> None:
        self.browser, self.host = browser, urlsplit(service.url).netloc
        self.messages: list[dict[str, Any]] = []
        self.responses: list[tuple[int, str]] = []
        browser.get("about:blank")
        self.read_logs()
        self.messages.clear()
        self.responses.clear()
        browser.get(f"{service.url}/docs")
        self.first(".opblock-tag-section .opblock")

    def first(self, selector: str, within: WebElement | None = None) -> WebElement:
        """The first such element, as soon as it can be seen."""
        meanwhile = (StopIteration, StaleElementReferenceException)
        waiting = WebDriverWait(self.browser, PATIENCE, ignored_exceptions=meanwhile)
        return waiting.until(lambda _: next(each for each in self.all(selector, within) if each.is_displayed()))

    def all(self, selector: str, within: WebElement | None = None) -> list[WebElement]:
        return (within or self.browser).find_elements(By.CSS_SELECTOR, selector)

    def operations(self) -> dict[str, list[str]]:
        """By slice, what each of its operations is called."""
        return {
            self.first("a.nostyle span", section).text: [
                summary.text for summary in self.all(".opblock-summary-description", section)
            ]
            for section in self.all(".opblock-tag-section")
        }

    def authorize(self, account: Account, password: str) -> WebElement:
        """Log in; the dialog stays open."""
        self.first("button.authorize").click()
        dialog = self.first(".modal-ux")
        self.first("#oauth_username", dialog).send_keys(account.email)
        self.first("#oauth_password", dialog).send_keys(password)
        self.first("button.modal-btn.authorize", dialog).click()
        return dialog

    def execute(self, operation: str, body: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
        """Open the operation, try it out, and read status and body of the response."""
        slice_, name = operation.split(".")
        block = self.first(f"[id='operations-{slice_}-{slice_}\\\\.{name}']")
        self.first(".opblock-summary-control", block).click()
        self.first(".try-out__btn", block).click()
        if body is not None:
            editor = self.first("textarea.body-param__text", block)
            editor.send_keys(Keys.CONTROL, "a")
            editor.send_keys(json.dumps(body))
        self.first("button.execute", block).click()
        response = self.first(".live-responses-table tr.response", block)
        text = self.first(".highlight-code code", response).text
        return int(self.first(".response-col_status", response).text.split()[0]), json.loads(text)

    def read_logs(self) -> None:
        log: Callable[[str], list[dict[str, Any]]] = self.browser.get_log
        self.messages += log("browser")
        for entry in log("performance"):
            event = json.loads(entry["message"])["message"]
            if event["method"] == "Network.responseReceived":
                response = event["params"]["response"]
                self.responses.append((response["status"], response["url"]))
            elif event["method"] == "Network.loadingFailed":
                self.messages.append({"level": "SEVERE", "message": event["params"]["errorText"]})

    def complaints(self) -> list[str]:
        """Of the console and the network: refused by the policy, failed, or answered with an error."""
        self.read_logs()
        faults = [message["message"] for message in self.messages if message["level"] in ("WARNING", "SEVERE")]
        return faults + [url for status, url in self.responses if status >= HTTPStatus.BAD_REQUEST]

    def hosts(self) -> set[str]:
        """Those that anything came from."""
        self.read_logs()
        return {urlsplit(url).netloc for _, url in self.responses if not url.startswith("data:")}


@pytest.fixture
def docs(browser: Chrome, live_service: LiveService) -> Docs:
    return Docs(browser, live_service)


async def test_person_logs_in_and_creates_a_project(docs: Docs, acme: TenantHandle) -> None:
    """Authorize with e-mail and password, then Try it out: the project is created, and the list shows it."""
    dialog = docs.authorize(acme.owner, acme.owner.password)
    docs.first("button[aria-label='Remove authorization']", dialog)
    docs.first("button.btn-done", dialog).click()
    status, created = docs.execute("projects.create", {"name": "Gemini"})
    listed = docs.execute("projects.list")

    assert (201, "Gemini") == (status, created["name"])
    assert (200, [created]) == (listed[0], listed[1]["items"])
    assert [] == docs.complaints()
    assert {docs.host} == docs.hosts()


async def test_wrong_password_is_told_in_the_dialog(docs: Docs, acme: TenantHandle) -> None:
    """The dialog says why it did not work, and what needs a login answers 401."""
    dialog = docs.authorize(acme.owner, "wrong horse battery staple")
    told = docs.first(".errors", dialog).text
    docs.first(".close-modal", dialog).click()
    status, problem = docs.execute("projects.list")

    assert "E-mail and password do not match" in told
    assert (401, "unauthenticated") == (status, problem["code"])


async def test_page_is_in_order(docs: Docs, app: Litestar) -> None:
    """Slices stand by name, those outside of the API last, and their operations in the order of the code.

    The dialog asks for nothing but what is needed.
    """
    operations = docs.operations()
    of_api = {
        tag
        for route in app.routes
        if isinstance(route, HTTPRoute) and route.path.startswith("/api/")
        for handler in route.route_handlers
        for tag in handler.resolve_tags()
    }
    docs.first("button.authorize").click()
    dialog = docs.first(".modal-ux")
    labels = [label.text for label in docs.all("label", dialog) if label.is_displayed()]

    assert ["auth", "projects"] == sorted({"auth", "projects"} & operations.keys())
    assert sorted(of_api) + sorted(operations.keys() - of_api) == list(operations)
    assert "health" in operations.keys() - of_api
    assert ["List projects", "Create a project", "Create many projects"] == operations["projects"][:3]
    assert ["username:", "password:", *["Value:"] * 4] == labels
    assert "oauth_username" == docs.browser.switch_to.active_element.get_attribute("id")
    assert [] == docs.complaints()
