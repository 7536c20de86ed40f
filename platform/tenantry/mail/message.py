"""A mail, before and after it has the form that mail servers take."""

from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr
from typing import Annotated
from uuid import UUID

import msgspec

__all__ = ("EmailAddress", "Mail", "Posted", "compose")

EmailAddress = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
        r"@[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)+$(?!\n)",
        max_length=254,
        examples=["ada@example.com"],
    ),
]


class Mail(msgspec.Struct, frozen=True):
    to: str
    subject: str
    text: str
    html: str | None = None


class Posted(msgspec.Struct, frozen=True):
    """A mail with what makes it the same one whenever it is sent again."""

    id: UUID
    at: datetime
    mail: Mail


def compose(posted: Posted, sender: str) -> EmailMessage:
    mail = posted.mail
    message = EmailMessage()
    message["From"] = sender
    message["To"] = Address(addr_spec=mail.to)
    message["Subject"] = mail.subject
    message["Date"] = format_datetime(posted.at)
    domain = parseaddr(sender)[1].rpartition("@")[2]
    message["Message-ID"] = f"<{posted.id}@{domain or 'localhost'}>"
    # What people do not answer, other programs shall not answer either.
    message["Auto-Submitted"] = "auto-generated"
    # Otherwise a long link would be broken into quoted-printable lines that nobody can copy from a file.
    message.set_content(mail.text, cte="7bit" if mail.text.isascii() else "quoted-printable")
    if mail.html is not None:
        message.add_alternative(mail.html, subtype="html", cte="base64")
    return message
