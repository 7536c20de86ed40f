"""Which passwords may be chosen. The service of breached ones is a real one, on a port of its own."""

import hashlib
import threading
import unicodedata
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import msgspec
import pytest
from litestar import Litestar

from tenantry.app import create_app
from tenantry.config import Settings
from tenantry.ids import new_id
from tenantry.security.new_passwords import NewPasswords, common_passwords
from tenantry.testing import Api, Mailbox, asgi_client, problem

BREACHED, PADDED, UNKNOWN = "correct horse battery", "zero times battery", "never stolen battery"


def form(password: str, **changes: str) -> dict[str, str]:
    return {"email": f"ada-{new_id().hex[-12:]}@example.com", "password": password, "name": "Ada Lovelace"} | changes


def sha1(password: str) -> str:
    return hashlib.sha1(password.encode(), usedforsecurity=False).hexdigest().upper()


class Breaches(ThreadingHTTPServer):
    """It answers as the range API does: with the known password of that prefix, and with padding."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.asked: list[tuple[str, str | None]] = []
        self.fault = ""
        self.released = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/"


class Answer(BaseHTTPRequestHandler):
    server: Breaches

    def do_GET(self) -> None:
        self.server.asked.append((self.path, self.headers["Add-Padding"]))
        if self.server.fault == "slow":
            self.server.released.wait(60)
        digests = {password: sha1(password) for password in (BREACHED, PADDED)}
        lines = [f"{digests[BREACHED][5:]}:7", f"{digests[PADDED][5:]}:0", f"{'0' * 35}:2"]
        body = "no list" if self.server.fault == "nonsense" else "\r\n".join(lines)
        self.send_response(500 if self.server.fault == "error" else 200)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextmanager
def listening(server: Breaches) -> Iterator[Breaches]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.released.set()
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def server() -> Iterator[Breaches]:
    with listening(Breaches()) as server:
        yield server


@pytest.fixture
def breaches(server: Breaches) -> Breaches:
    server.asked.clear()
    server.fault = ""
    return server


@pytest.fixture(scope="module")
async def service(app: Litestar, settings: Settings, server: Breaches) -> AsyncIterator[Litestar]:
    """It asks `breaches`, with more time than it needs; `app` is asked for so that lifespans nest."""
    asks = {
        "breached_passwords_url": server.url,
        "breached_passwords_timeout_seconds": 30,
        "password_words": "Zeppelin",
    }
    service = create_app(msgspec.structs.replace(settings, **asks))
    async with service.lifespan():
        yield service


@pytest.fixture
async def asking(service: Litestar, breaches: Breaches) -> AsyncIterator[Api]:
    async with asgi_client(service) as client:
        yield Api(client)


@pytest.mark.asvs("6.2.1", "6.2.5", "6.2.8", "6.2.9")
@pytest.mark.parametrize(
    "password",
    ["x" * 7 + "y", "ŝajnas al mi ke", "a" * 50 + " " * 14, "with \0 and \n in it", "🔑" * 128],
)  # fmt: skip
async def test_any_characters_will_do(api: Api, mailbox: Mailbox, password: str) -> None:
    """From 8 to 128 characters of any script: what was chosen logs in, and no part or variant of it does."""
    data = form(password)
    signed_up = await api.post("/auth/signup", json=data)
    await api.post("/auth/email/verify", json={"token": mailbox.token(data["email"])})
    login = {"email": data["email"]}
    right = await api.post("/auth/login", json=login | {"password": password})
    variants = {password[:-1], password.strip(), password.swapcase()} - {password}
    wrong = [await api.post("/auth/login", json=login | {"password": variant}) for variant in variants]

    assert (202, 200) == (signed_up.status_code, right.status_code)
    assert [401] * len(variants) == [response.status_code for response in wrong]


@pytest.mark.asvs("6.2.8")
async def test_characters_are_not_made_others(api: Api, mailbox: Mailbox) -> None:
    """A password is taken as it comes: not even another way to write the same letters replaces it."""
    composed = unicodedata.normalize("NFC", "crème brûlée à gogo")
    data = form(composed)
    await api.post("/auth/signup", json=data)
    await api.post("/auth/email/verify", json={"token": mailbox.token(data["email"])})
    as_chosen = await api.post("/auth/login", json={"email": data["email"], "password": composed})
    decomposed = unicodedata.normalize("NFD", composed)
    otherwise = await api.post("/auth/login", json={"email": data["email"], "password": decomposed})

    assert 200 == as_chosen.status_code
    assert problem(401, "invalid_credentials") == otherwise


@pytest.mark.asvs("6.2.4", "6.2.11", "6.2.12")
@pytest.mark.parametrize(
    ("password", "code"),
    [
        ("password", "password_common"), ("1234567890", "password_common"), ("TrustNo1", "password_common"),
        ("Ada Lovelace", "password_personal"), ("lovelace1815", "password_personal"),
        ("!ADA@example", "password_personal"), ("tenantry2026", "password_personal"),
        ("zeppelin-42", "password_personal"), ("adapassword", "password_personal"),
        (BREACHED, "password_breached"),
    ],
)  # fmt: skip
async def test_what_is_tried_first(asking: Api, password: str, code: str) -> None:
    """Common, personal and breached passwords are refused, each by a code of its own, as a fault of that member."""
    response = await asking.post("/auth/signup", json=form(password))

    assert problem(422, code) == response
    assert ["/password"] == [fault["pointer"] for fault in response.json()["errors"]]


@pytest.mark.asvs("6.2.4")
def test_list_of_common_ones_is_long() -> None:
    """It has more than the 3,000 that OWASP asks for, counting only those that are long enough to be chosen."""
    assert 11_611 == sum(len(password) >= 8 for password in common_passwords())


@pytest.mark.parametrize("password", [PADDED, UNKNOWN, "lovelace knew the numbers", "canada goose at noon"])
async def test_what_is_not(asking: Api, breaches: Breaches, password: str) -> None:
    """Padding is no breach, and a name inside of a long password harms nothing; the service learns five digits."""
    response = await asking.post("/auth/signup", json=form(password))

    assert 202 == response.status_code
    assert [(f"/range/{sha1(password)[:5]}", "true")] == breaches.asked


@pytest.mark.parametrize("fault", ["error", "nonsense"])
async def test_who_does_not_know_stops_nobody(asking: Api, breaches: Breaches, fault: str) -> None:
    """While the service of breached passwords fails, a password is taken without its word."""
    breaches.fault = fault

    response = await asking.post("/auth/signup", json=form(BREACHED))

    assert (202, 1) == (response.status_code, len(breaches.asked))


async def test_who_is_too_slow_stops_nobody(settings: Settings, breaches: Breaches) -> None:
    """The service of breached passwords has its time and no more."""
    breaches.fault = "slow"
    asks = {"breached_passwords_url": breaches.url, "breached_passwords_timeout_seconds": 0.2}
    new_passwords = NewPasswords(msgspec.structs.replace(settings, **asks))

    await new_passwords.check(BREACHED, about=[])
    await new_passwords.close()

    assert not breaches.released.is_set()


async def test_half_a_character_is_no_password(api: Api) -> None:
    """A lone surrogate cannot be hashed, so it never arrives as a password."""
    body = msgspec.json.encode(form("PASSWORD")).replace(b"PASSWORD", rb"\ud800 is not a character")
    response = await api.post("/auth/signup", content=body, headers={"Content-Type": "application/json"})

    assert 400 <= response.status_code < 500
