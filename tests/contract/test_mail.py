"""Mail arrives as it was meant, or the caller is told in time that it did not; no text of a client bends it."""

import asyncio
import stat
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from time import perf_counter
from typing import cast

import httpx
import msgspec
import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session
from litestar import Litestar

from tenantry import mail as mail_module
from tenantry.app import create_app
from tenantry.clock import now
from tenantry.config import ConfigurationError, Settings
from tenantry.ids import new_id
from tenantry.mail import FileMailer, Mail, MailPlugin, MailUnavailable, SmtpMailer, compose
from tenantry.testing import PASSWORD, Api, Mailbox, problem
from tenantry.testing.service import free_port

SENDER = "Tenantry <no-reply@tenantry.example>"
MAIL = Mail("ada@example.com", "Confirm", "Grüße,\nopen https://tenantry.example/?token=x\n.\nbye\n")
Protocol = Callable[[], asyncio.BaseProtocol]


class Inbox:
    """A mail server's memory."""

    def __init__(self, reply: str = "250 OK") -> None:
        self.reply = reply
        self.envelopes: list[Envelope] = []

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 -- aiosmtpd's
        self.envelopes.append(envelope)
        return self.reply

    @property
    def messages(self) -> list[EmailMessage]:
        contents = [envelope.content for envelope in self.envelopes]
        return [message_from_bytes(content, policy=default) for content in contents if isinstance(content, bytes)]


class Silent(asyncio.Protocol):
    """Takes the connection and never says a word."""


class Slow(asyncio.Protocol):
    """Answers every command, each just before a client would give up."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.answer_later("220 ready")

    def data_received(self, data: bytes) -> None:
        self.answer_later("354 go on" if data.startswith(b"DATA") else "250 OK")

    def answer_later(self, reply: str) -> None:
        asyncio.get_running_loop().call_later(0.4, self.answer, f"{reply}\r\n".encode())

    def answer(self, reply: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(reply)


@asynccontextmanager
async def serving(protocol: Protocol, port: int = 0) -> AsyncIterator[int]:
    server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", port)
    yield server.sockets[0].getsockname()[1]
    server.close()


def smtp(inbox: Inbox) -> Protocol:
    return lambda: SMTP(inbox, hostname="localhost", enable_SMTPUTF8=False)


@asynccontextmanager
async def client_of(settings: Settings) -> AsyncIterator[Api]:
    service = create_app(settings)
    async with service.lifespan():
        transport = httpx.ASGITransport(app=service)  # type: ignore[arg-type]  # Litestar's own types are narrower
        async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
            yield Api(client)


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Patience is shortened: nobody wants to wait ten seconds for each test."""
    monkeypatch.setattr(mail_module, "TIMEOUT_SECONDS", 0.5)


async def test_mail_arrives_whole() -> None:
    """The server gets sender, recipient, all headers a mail must have, and the text unchanged."""
    inbox = Inbox()
    async with serving(smtp(inbox)) as port:
        await SmtpMailer(f"smtp://127.0.0.1:{port}", SENDER).send(MAIL)
    (envelope,), (message,) = inbox.envelopes, inbox.messages

    assert ("no-reply@tenantry.example", ["ada@example.com"]) == (envelope.mail_from, envelope.rcpt_tos)
    assert [SENDER, "ada@example.com", "Confirm"] == [message[name] for name in ("From", "To", "Subject")]
    assert abs(message["Date"].datetime - now()) < timedelta(minutes=1)
    assert message["Message-ID"]
    assert "text/plain" == message.get_content_type()
    assert MAIL.text == message.get_content().replace("\r\n", "\n")


@pytest.mark.parametrize("protocol", [Silent, Slow])
async def test_hung_server_is_given_up(hurried: None, protocol: Protocol) -> None:
    """A server that says nothing, or answers each command as late as it may, costs no more than the time limit."""
    async with serving(protocol) as port:
        began = perf_counter()
        with pytest.raises(MailUnavailable):
            await SmtpMailer(f"smtp://127.0.0.1:{port}", SENDER).send(MAIL)
        seconds = perf_counter() - began

    assert 0.4 < seconds < 2


@pytest.mark.parametrize("reply", ["451 try later", "554 no"])
async def test_refusal_is_told(reply: str) -> None:
    """What the server does not take is an error, never silently lost."""
    async with serving(smtp(Inbox(reply))) as port:
        with pytest.raises(MailUnavailable):
            await SmtpMailer(f"smtp://127.0.0.1:{port}", SENDER).send(MAIL)


@pytest.mark.parametrize("scheme", ["smtp+starttls", "smtps"])
async def test_no_mail_in_clear_where_encryption_was_asked_for(hurried: None, scheme: str) -> None:
    """A server, or somebody in between, that offers no encryption gets no mail and no password."""
    inbox = Inbox()
    async with serving(smtp(inbox)) as port:
        with pytest.raises(MailUnavailable):
            await SmtpMailer(f"{scheme}://user:password@127.0.0.1:{port}", SENDER).send(MAIL)

    assert [] == inbox.envelopes


async def test_sign_up_can_be_repeated(hurried: None, app: Litestar, settings: Settings) -> None:
    """Without a mail server a sign-up is 503 mail_unavailable in time; repeated once there is one, it goes through."""
    port, inbox, email = free_port(), Inbox(), f"ada-{new_id().hex}@example.com"
    body = {"email": email, "password": PASSWORD, "name": "Ada"}
    async with client_of(msgspec.structs.replace(settings, smtp_url=f"smtp://127.0.0.1:{port}")) as api:
        refused = await api.post("/auth/signup", json=body)
        async with serving(Silent, port):
            hung = await api.post("/auth/signup", json=body)
        async with serving(smtp(inbox), port):
            taken = await api.post("/auth/signup", json=body)
        (message,) = inbox.messages
        token = message.get_content().partition("?token=")[2].split()[0]
        verified = await api.post("/auth/email/verify", json={"token": token})

    assert [problem(503, "mail_unavailable")] * 2 == [refused, hung]
    assert ["30"] * 2 == [response.headers["retry-after"] for response in (refused, hung)]
    assert (202, email, 204) == (taken.status_code, message["To"], verified.status_code)


async def test_resend_can_be_repeated(app: Litestar, settings: Settings) -> None:
    """A link that could not be sent again is sent when it is asked for once more, without waiting for a minute."""
    port, inbox, email = free_port(), Inbox(), f"ada-{new_id().hex}@example.com"
    async with client_of(msgspec.structs.replace(settings, smtp_url=f"smtp://127.0.0.1:{port}")) as api:
        await api.post("/auth/signup", json={"email": email, "password": PASSWORD, "name": "Ada"})
        refused = await api.post("/auth/email/resend", json={"email": email})
        async with serving(smtp(inbox), port):
            taken = await api.post("/auth/email/resend", json={"email": email})

    assert problem(503, "mail_unavailable") == refused
    assert (202, 1) == (taken.status_code, len(inbox.envelopes))


@pytest.mark.parametrize(
    "address",
    [
        "ada@example.com\r\nBcc: eve@example.com",
        "ada@example.com,eve@example.com",
        "Ada <ada@example.com>",
        "ada\0@b.cd",
    ],
)
async def test_an_address_is_one_address(api: Api, mailbox: Mailbox, address: str) -> None:
    """Line breaks, a second address or a name in the e-mail field are 422, and no mail is written."""
    before = len(list(mailbox.folder.glob("*")))
    response = await api.post("/auth/signup", json={"email": address, "password": PASSWORD, "name": "Ada"})

    assert problem(422, "validation_failed") == response
    assert ["/email"] == [error["pointer"] for error in response.json()["errors"]]
    assert before == len(list(mailbox.folder.glob("*")))


async def test_a_name_stays_out_of_the_headers(api: Api, mailbox: Mailbox) -> None:
    """Whatever somebody calls themselves, the mail has the same headers and one recipient."""
    email = f"ada-{new_id().hex}@example.com"
    name = "Ada\r\nBcc: eve@example.com\r\n\r\nbody"
    response = await api.post("/auth/signup", json={"email": email, "password": PASSWORD, "name": name})
    (message,) = mailbox.to(email)

    assert 202 == response.status_code
    assert "Bcc" not in message
    assert "eve@example.com" not in message.as_string()


@pytest.mark.parametrize("mail", [Mail("a@b.cd\r\nBcc: eve@b.cd", "x", "y"), Mail("a@b.cd", "x\nBcc: eve@b.cd", "y")])
def test_the_mailer_itself_refuses_line_breaks_in_headers(mail: Mail) -> None:
    """A slice that passes a line break on does not send a forged mail, but fails."""
    with pytest.raises(ValueError, match=r"(?i)linefeed|CR or LF|invalid"):
        compose(mail, SENDER)


async def test_file_is_a_mail_for_its_owner_alone(tmp_path: Path) -> None:
    """In development a mail is a file that mail programs open and that other users cannot read."""
    await FileMailer(tmp_path / "mail", SENDER).send(MAIL)
    (path,) = (tmp_path / "mail").glob("*.eml")
    message = message_from_bytes(path.read_bytes(), policy=default)

    assert ("ada@example.com", MAIL.text) == (message["To"], message.get_content().replace("\r\n", "\n"))
    assert [0o600, 0o700] == [stat.S_IMODE(each.stat().st_mode) for each in (path, path.parent)]


@pytest.mark.parametrize("url", ["http://mail.example", "smtp://", "mail.example:25"])
def test_address_of_the_server_is_checked_at_the_start(settings: Settings, url: str) -> None:
    """A mail server's address of another kind ends the start with the name of the setting."""
    with pytest.raises(ConfigurationError, match="TENANTRY_SMTP_URL"):
        MailPlugin(msgspec.structs.replace(settings, smtp_url=url))
