"""The mail that the application under test has written."""

import asyncio
import email
import email.policy
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from email.message import EmailMessage
from pathlib import Path
from time import monotonic, sleep

from tenantry.clock import now
from tenantry.config import Settings
from tenantry.db.database import Database
from tenantry.db.engine import create_engine, runtime_url
from tenantry.mail.delivery import Delivery
from tenantry.mail.seal import MailSeal
from tenantry.mail.transports import FileTransport
from tenantry.security.vault import Vault

__all__ = ("Mailbox",)

FAR = timedelta(days=10_000)


class Received(EmailMessage):
    def get_content(self, *args: object, **options: object) -> str:
        """The text, of a mail that has HTML as well."""
        return self._version("plain")

    @property
    def html(self) -> str:
        return self._version("html")

    def _version(self, kind: str) -> str:
        if not self.is_multipart():
            return str(super().get_content())
        return next(str(part.get_content()) for part in self.iter_parts() if part.get_content_subtype() == kind)


POLICY = email.policy.default.clone(message_factory=Received)


class Mailbox:
    """With the settings of a service that does not send its mail itself, whoever reads here sends it before.

    So no test waits, and nothing happens in the background of other tests. Without settings the service sends.
    """

    def __init__(self, folder: Path, settings: Settings | None = None) -> None:
        self.folder, self.settings = folder, settings

    def to(self, address: str) -> list[Received]:
        """Oldest first."""
        self.drain()
        messages = (self._parse(path) for path in sorted(self.folder.glob("*.eml")))
        return [message for message in messages if message["To"] == address]

    def token(self, address: str) -> str:
        """The token of the link in the newest mail to this address."""
        match = re.search(r"[?#]token=([\w-]+)", self.to(address)[-1].get_content())
        assert match is not None
        return match[1]

    def wait_for(self, address: str, *, seconds: float = 20) -> Received:
        """The newest mail, from a process that sends by itself."""
        deadline = monotonic() + seconds
        while not (found := self.to(address)):
            assert monotonic() < deadline, "no mail came"
            sleep(0.01)
        return found[-1]

    def drain(self) -> None:
        """In a loop of its own: the one that the caller may run in serves the application."""
        if self.settings is not None:
            with ThreadPoolExecutor(1) as thread:
                thread.submit(asyncio.run, self._send(self.settings)).result()

    async def _send(self, settings: Settings) -> None:
        engine = create_engine(runtime_url(settings), settings)
        try:
            seal = MailSeal(Vault.from_settings(settings))
            delivery = Delivery(seal, FileTransport(self.folder, settings.mail_from))
            delivery.database = Database(engine)
            await delivery.drain(now() + FAR)
        finally:
            await engine.dispose()

    def _parse(self, path: Path) -> Received:
        return email.message_from_bytes(path.read_bytes(), policy=POLICY)  # type: ignore[return-value]  # its factory makes them
