"""Where mail goes: to an SMTP server where one is configured, else into a file per mail."""

import asyncio
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

import aiosmtplib
import structlog

from tenantry.config import ConfigurationError, Settings, variable
from tenantry.mail.message import Posted, compose

__all__ = ("FileTransport", "NotTaken", "SmtpTransport", "Transport", "transport_of")

_log = structlog.get_logger("tenantry.mail")
TIMEOUT_SECONDS = 10
FOREVER = 500
"""From this reply code on a server asks, by RFC 5321, not to be tried again."""


class NotTaken(Exception):
    """`reason` tells no address. `is_final`: it would not be taken another time either."""

    def __init__(self, reason: str, *, is_final: bool = False) -> None:
        super().__init__(reason)
        self.reason, self.is_final = reason, is_final


class Transport(Protocol):
    async def send(self, posted: Posted) -> None:
        """Raises `NotTaken` when the mail was not taken."""


class FileTransport:
    def __init__(self, folder: Path, sender: str) -> None:
        self.folder, self.sender = folder, sender

    async def send(self, posted: Posted) -> None:
        message = composed(posted, self.sender).as_bytes(policy=SMTP)
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            # Whoever waits for the file must not find half of it.
            draft, path = (self.folder / f"{posted.id}.{suffix}" for suffix in ("draft", "eml"))
            draft.touch(mode=0o600)
            draft.write_bytes(message)
            draft.rename(path)
        except OSError as error:
            raise NotTaken(type(error).__name__) from error
        _log.info("mail.written", file=str(path))


class SmtpTransport:
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

    async def send(self, posted: Posted) -> None:
        message = composed(posted, self.sender)
        try:
            # aiosmtplib's own timeout counts anew for each of the server's replies.
            async with asyncio.timeout(TIMEOUT_SECONDS):
                await aiosmtplib.send(message, **self.options)
        except (aiosmtplib.SMTPException, OSError) as error:
            code, is_final = judged(error)
            raise NotTaken(f"{type(error).__name__} {code or ''}".strip(), is_final=is_final) from error


def composed(posted: Posted, sender: str) -> EmailMessage:
    try:
        return compose(posted, sender)
    except ValueError as error:  # a line break where a header must have none
        raise NotTaken("not a mail", is_final=True) from error


def judged(error: Exception) -> tuple[int | None, bool]:
    """The reply code, and whether it is about this mail. A refused sender or log-in is a fault of the settings."""
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
        error = error.recipients[0]
    code = error.code if isinstance(error, aiosmtplib.SMTPResponseException) else None
    about_mail = isinstance(error, aiosmtplib.SMTPRecipientRefused | aiosmtplib.SMTPDataError)
    return code, code is not None and about_mail and code >= FOREVER


def transport_of(settings: Settings) -> Transport:
    if settings.smtp_url:
        return SmtpTransport(settings.smtp_url, settings.mail_from)
    return FileTransport(settings.home_path / "mail", settings.mail_from)
