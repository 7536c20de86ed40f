"""A mail arrives as it was meant, or it is known that it did not; no text of a client bends it."""

import stat
from datetime import UTC, datetime
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from time import perf_counter

import msgspec
import pytest
from litestar import Litestar

from tenantry.config import ConfigurationError, Settings
from tenantry.ids import new_id
from tenantry.mail import Mail, MailPlugin, transports
from tenantry.mail.message import Posted, compose
from tenantry.mail.transports import FileTransport, NotTaken, SmtpTransport
from tenantry.security.plugin import SecurityPlugin
from tenantry.testing import PASSWORD, Api, Mailbox, problem
from tests.contract.mail_servers import Inbox, Protocol, Silent, Slow, serving, smtp

SENDER = "Tenantry <no-reply@tenantry.example>"
TEXT = "Grüße,\nopen https://tenantry.example/?token=x\n.\nbye\n"
MAIL = Mail("ada@example.com", "Confirm", TEXT, '<p>Grüße, <a href="https://tenantry.example/?token=x">open</a></p>\n')
POSTED = Posted(new_id(), datetime(2026, 11, 26, 12, tzinfo=UTC), MAIL)


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Patience is shortened: nobody wants to wait ten seconds for each test."""
    monkeypatch.setattr(transports, "TIMEOUT_SECONDS", 0.5)


async def test_mail_arrives_whole() -> None:
    """The server gets sender, recipient, all headers a mail must have, and text and HTML unchanged."""
    inbox = Inbox()
    async with serving(smtp(inbox)) as port:
        await SmtpTransport(f"smtp://127.0.0.1:{port}", SENDER).send(POSTED)
    (envelope,), (message,) = inbox.envelopes, inbox.messages
    text, html = message.iter_parts()

    assert ("no-reply@tenantry.example", ["ada@example.com"]) == (envelope.mail_from, envelope.rcpt_tos)
    assert [SENDER, "ada@example.com", "Confirm"] == [message[name] for name in ("From", "To", "Subject")]
    assert POSTED.at == message["Date"].datetime
    assert f"<{POSTED.id}@tenantry.example>" == message["Message-ID"]
    assert "multipart/alternative" == message.get_content_type()
    assert (TEXT, MAIL.html) == (text.get_content().replace("\r\n", "\n"), html.get_content().replace("\r\n", "\n"))


@pytest.mark.parametrize("protocol", [Silent, Slow])
async def test_hung_server_is_given_up(hurried: None, protocol: Protocol) -> None:
    """A server that says nothing, or answers each command as late as it may, costs no more than the time limit."""
    async with serving(protocol) as port:
        began = perf_counter()
        with pytest.raises(NotTaken, match="TimeoutError"):
            await SmtpTransport(f"smtp://127.0.0.1:{port}", SENDER).send(POSTED)
        seconds = perf_counter() - began

    assert 0.4 < seconds < 5


@pytest.mark.parametrize(("reply", "is_final"), [("451 try later", False), ("554 no", True)])
async def test_refusal_is_told(reply: str, is_final: bool) -> None:
    """What the server does not take is never silently lost; what it will never take is not tried again."""
    async with serving(smtp(Inbox(reply))) as port:
        with pytest.raises(NotTaken) as refused:
            await SmtpTransport(f"smtp://127.0.0.1:{port}", SENDER).send(POSTED)

    assert (f"SMTPDataError {reply[:3]}", is_final) == (refused.value.reason, refused.value.is_final)


@pytest.mark.parametrize("scheme", ["smtp+starttls", "smtps"])
async def test_no_mail_in_clear_where_encryption_was_asked_for(hurried: None, scheme: str) -> None:
    """A server, or somebody in between, that offers no encryption gets no mail and no password."""
    inbox = Inbox()
    async with serving(smtp(inbox)) as port:
        with pytest.raises(NotTaken):
            await SmtpTransport(f"{scheme}://user:password@127.0.0.1:{port}", SENDER).send(POSTED)

    assert [] == inbox.envelopes


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
    mailbox.drain()
    before = len(list(mailbox.folder.glob("*")))
    response = await api.post("/auth/signup", json={"email": address, "password": PASSWORD, "name": "Ada"})
    mailbox.drain()

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
def test_no_line_break_gets_into_a_header(mail: Mail) -> None:
    """A slice that passes a line break on does not send a forged mail, but fails."""
    with pytest.raises(ValueError, match=r"(?i)linefeed|CR or LF|invalid"):
        compose(Posted(POSTED.id, POSTED.at, mail), SENDER)


async def test_file_is_a_mail_for_its_owner_alone(tmp_path: Path) -> None:
    """In development a mail is a file that mail programs open and that other users cannot read."""
    await FileTransport(tmp_path / "mail", SENDER).send(POSTED)
    (path,) = (tmp_path / "mail").iterdir()
    message = message_from_bytes(path.read_bytes(), policy=default)
    text, _ = message.iter_parts()

    assert ("ada@example.com", TEXT) == (message["To"], text.get_content().replace("\r\n", "\n"))
    assert [0o600, 0o700] == [stat.S_IMODE(each.stat().st_mode) for each in (path, path.parent)]


@pytest.mark.parametrize("url", ["http://mail.example", "smtp://", "mail.example:25"])
def test_address_of_the_server_is_checked_at_the_start(app: Litestar, settings: Settings, url: str) -> None:
    """A mail server's address of another kind ends the start with the name of the setting."""
    vault = app.plugins.get(SecurityPlugin).vault
    with pytest.raises(ConfigurationError, match="TENANTRY_SMTP_URL"):
        MailPlugin(msgspec.structs.replace(settings, smtp_url=url), vault)
