"""A wire between the service and PostgreSQL that delivers in small pieces, stops, or breaks within a message."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from random import Random

from psycopg.conninfo import conninfo_to_dict, make_conninfo

__all__ = ("Wire", "open_wire")

CHUNK = 65536


class Wire:
    def __init__(self, conninfo: str, seed: int) -> None:
        self._parameters = conninfo_to_dict(conninfo)
        self.random = Random(seed)
        self.delivers = asyncio.Event()
        self.delivers.set()
        self.breaks = 0.0
        """How probable it is that a piece is the last one."""
        self.largest_piece: int | None = None
        """None delivers all that there is at once."""
        self.pause = 0.0
        """Seconds between two pieces."""
        self.port = 0
        self.opened = 0
        self._ends: set[asyncio.StreamWriter] = set()

    @property
    def conninfo(self) -> str:
        parameters = {**self._parameters, "host": "127.0.0.1", "port": self.port}
        return make_conninfo("", **parameters)

    def repair(self) -> None:
        self.breaks, self.largest_piece = 0.0, None

    def cut(self) -> None:
        """Break every connection at once, whatever is on its way."""
        for end in self._ends:
            end.transport.abort()

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.opened += 1
        there = await self._connect()
        self._ends |= {writer, there[1]}
        with suppress(ConnectionError, RuntimeError):  # the latter is what uvloop says of an end that was aborted
            await asyncio.gather(self._forward(reader, there[1]), self._forward(there[0], writer))
        for end in (writer, there[1]):
            self._ends.discard(end)
            end.transport.abort()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        host, port = str(self._parameters["host"]), self._parameters.get("port", 5432)
        if host.startswith("/"):
            return await asyncio.open_unix_connection(f"{host}/.s.PGSQL.{port}")
        return await asyncio.open_connection(host, int(port or 5432))

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(CHUNK):
            while data:
                await self.delivers.wait()
                size = self.random.randint(1, self.largest_piece) if self.largest_piece else len(data)
                piece, data = data[:size], data[size:]
                writer.write(piece)
                await writer.drain()
                if self.random.random() < self.breaks:
                    raise ConnectionResetError
                if self.largest_piece:
                    await asyncio.sleep(self.pause)
        raise ConnectionResetError


@asynccontextmanager
async def open_wire(conninfo: str, seed: int) -> AsyncIterator[Wire]:
    """It listens on a port of its own and leads to the server of `conninfo`."""
    wire = Wire(conninfo, seed)
    async with await asyncio.start_server(wire.carry, "127.0.0.1", 0) as server:
        wire.port = server.sockets[0].getsockname()[1]
        yield wire
        wire.delivers.set()
        wire.cut()
        await asyncio.sleep(0.05)
