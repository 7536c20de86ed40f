"""The mail that the application under test has written."""

import email
import email.policy
import re
from email.message import EmailMessage
from pathlib import Path

__all__ = ("Mailbox",)


class Mailbox:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def to(self, address: str) -> list[EmailMessage]:
        """Oldest first."""
        messages = (self._parse(path) for path in sorted(self.folder.glob("*.eml")))
        return [message for message in messages if message["To"] == address]

    def token(self, address: str) -> str:
        """The token of the link in the newest mail to this address."""
        match = re.search(r"[?#]token=([\w-]+)", self.to(address)[-1].get_content())
        assert match is not None
        return match[1]

    def _parse(self, path: Path) -> EmailMessage:
        return email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
