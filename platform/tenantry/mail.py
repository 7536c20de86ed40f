"""Mail: through SMTP where one is configured, else a file per message under `$TENANTRY_HOME/mail`."""

import asyncio
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, make_msgid
from pathlib import Path
from typing import Annotated, Any, Protocol, runtime_checkable
from urllib.parse import unquote, urlsplit

import aiosmtplib
import msgspec
import structlog
from litestar.config.app import AppConfig
from litestar.plugins import InitPlugin

from tenantry.clock import now
from tenantry.config import ConfigurationError, Settings, variable
from tenantry.errors import Unavailable
from tenantry.ids import new_id
from tenantry.inject import provided

__all__ = ("EmailAddress", "Mail", "MailPlugin", "Mailer")

_log = structlog.get_logger("tenantry.mail")
TIMEOUT_SECONDS = 10
EmailAddress = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
        r"@[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)+$(?!\n)",
        max_length=254,
        examples=["ada@example.com"],
    ),
]


class MailUnavailable(Unavailable):
    code = "mail_unavailable"
    title = "Mail cannot be sent at this moment"


class Mail(msgspec.Struct, frozen=True):
    to: str
    subject: str
    text: str


@runtime_checkable
class Mailer(Protocol):
    async def send(self, mail: Mail) -> None:
        """Raises `MailUnavailable` when the mail was not taken."""


class FileMailer:
    def __init__(self, folder: Path, sender: str) -> None:
        self.folder, self.sender = folder, sender

    async def send(self, mail: Mail) -> None:
        message = compose(mail, self.sender).as_bytes(policy=SMTP)
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self.folder / f"{new_id()}.eml"
        path.touch(mode=0o600)
        path.write_bytes(message)
        _log.info("mail.written", file=str(path))


class SmtpMailer:
    """`smtp://` in clear, `smtp+starttls://` upgraded or refused, `smtps://` encrypted from the start."""

    def __init__(self, url: str, sender: str) -> None:
        self.sender = sender
        parts = urlsplit(url)
        if parts.scheme not in ("smtp", "smtp+starttls", "smtps") or not parts.hostname:
            raise ConfigurationError(
                f"{variable('smtp_url')}: must be smtp://, smtp+starttls:// or smtps:// and a host"
            )
        self.options: dict[str, Any] = {
            "hostname": parts.hostname,
            "port": parts.port or {"smtp": 25, "smtp+starttls": 587, "smtps": 465}[parts.scheme],
            "username": unquote(parts.username) if parts.username else None,
            "password": unquote(parts.password) if parts.password else None,
            "use_tls": parts.scheme == "smtps",
            "start_tls": parts.scheme == "smtp+starttls",
        }

    async def send(self, mail: Mail) -> None:
        try:
            # aiosmtplib's own timeout counts anew for each of the server's replies.
            async with asyncio.timeout(TIMEOUT_SECONDS):
                await aiosmtplib.send(compose(mail, self.sender), **self.options)
        except (aiosmtplib.SMTPException, OSError) as error:
            _log.warning("mail.failed", error=repr(error))
            raise MailUnavailable(retry_after=30) from error


def compose(mail: Mail, sender: str) -> EmailMessage:
    message = EmailMessage()
    message["From"] = sender
    message["To"] = Address(addr_spec=mail.to)
    message["Subject"] = mail.subject
    message["Date"] = format_datetime(now())
    message["Message-ID"] = make_msgid(domain="tenantry.invalid")
    # Otherwise a long link would be broken into quoted-printable lines that nobody can copy from a file.
    message.set_content(mail.text, cte="7bit" if mail.text.isascii() else "quoted-printable")
    return message


class MailPlugin(InitPlugin):
    def __init__(self, settings: Settings) -> None:
        self.mailer: Mailer = (
            SmtpMailer(settings.smtp_url, settings.mail_from)
            if settings.smtp_url
            else FileMailer(settings.home_path / "mail", settings.mail_from)
        )

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        app_config.dependencies["mailer"] = provided(self.mailer)
        return app_config
