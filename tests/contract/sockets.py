"""The application behind the server's own protocol, and bytes to and from it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from litestar import Litestar
from uvicorn.server import ServerState

from tenantry.http.guarded import GuardedProtocol

__all__ = ("Reply", "exchange", "listening", "opened")

PATIENCE_SECONDS = 20


class Reply:
    def __init__(self, raw: bytes) -> None:
        head, _, self.body = raw.partition(b"\r\n\r\n")
        status, *lines = head.decode("latin-1").split("\r\n")
        self.status = int(status.split()[1]) if raw else 0
        """0 where the connection was closed without an answer."""
        self.headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}

    @property
    def code(self) -> Any:
        return json.loads(self.body)["code"]


@asynccontextmanager
async def listening(app: Litestar, *, keep_alive_seconds: int = 5) -> AsyncIterator[int]:
    """The port of an application that has started."""
    config = uvicorn.Config(app, lifespan="off", log_config=None, ws="none", timeout_keep_alive=keep_alive_seconds)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: GuardedProtocol(config, ServerState(), {}), "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@asynccontextmanager
async def opened(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            yield reader, writer
    finally:
        writer.close()


async def exchange(port: int, *pieces: bytes, pause: float = 0.0) -> Reply:
    """What comes until the server closes; it is asked to by the client where the answer does not say so."""
    async with opened(port) as (reader, writer):
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(pause)
        return Reply(await reader.read())
