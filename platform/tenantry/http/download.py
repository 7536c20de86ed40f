"""A file that is made while it is sent."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from litestar.response import Stream
from litestar.response.streaming import ASGIStreamingResponse
from litestar.types import Message, Receive, Send

__all__ = ("Download",)

STALL_SECONDS = 30
LONGEST_SECONDS = 3600


class Download(Stream):
    """What makes the parts ends with the answer, also where the client leaves early.

    It begins when the request's own unit of work has ended, so it needs one of its own.
    """

    def __init__(self, parts: AsyncGenerator[bytes, None], filename: str, media_type: str) -> None:
        disposition = f'attachment; filename="{filename}"'
        super().__init__(parts, headers={"Content-Disposition": disposition}, media_type=media_type)
        self.parts = parts

    def to_asgi_response(self, app: Any, request: Any, **options: Any) -> ASGIStreamingResponse:
        """As its base does it, of the class below."""
        del options["type_encoders"]
        headers = (options.pop("headers", None) or {}) | self.headers
        return Sending(iterator=self.parts, **options | {"headers": headers, "media_type": self.media_type})


class Sending(ASGIStreamingResponse):
    iterator: AsyncGenerator[bytes, None]

    async def send_body(self, send: Send, receive: Receive) -> None:
        """A client that reads too slowly is left: a transaction waits for it."""

        async def send_in_time(message: Message) -> None:
            async with asyncio.timeout(STALL_SECONDS):
                await send(message)

        async with aclosing(self.iterator), asyncio.timeout(LONGEST_SECONDS):
            await super().send_body(send_in_time, receive)
