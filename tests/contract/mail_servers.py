"""Mail servers for tests: a real one, and some that are of no use."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import cast

from aiosmtpd.smtp import SMTP, Envelope, Session

Protocol = Callable[[], asyncio.BaseProtocol]


class Inbox:
    """A mail server's memory."""

    def __init__(self, *replies: str) -> None:
        self.replies = list(replies)
        """The first answers; from then on all is well."""
        self.envelopes: list[Envelope] = []
        self.arrived = asyncio.Event()

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 -- aiosmtpd's
        reply = self.replies.pop(0) if self.replies else "250 OK"
        self.envelopes.append(envelope)
        self.arrived.set()
        return reply

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
