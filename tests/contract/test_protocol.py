"""Answers leave in one write, and are byte for byte those of uvicorn's own protocol."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from tenantry.http.protocol import Protocol

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
CLOSING = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
OLD = b"GET / HTTP/1.0\r\nHost: x\r\n\r\n"
HEAD = b"HEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbody"
LENGTH = (b"content-length", b"5")
TYPE = (b"Content-Type", b"text/plain")


def start(*headers: tuple[bytes, bytes], status: int = 200) -> dict[str, Any]:
    return {"type": "http.response.start", "status": status, "headers": headers}


def body(content: bytes, *, more: bool = False) -> dict[str, Any]:
    return {"type": "http.response.body", "body": content, "more_body": more}


ANSWERS: dict[str, list[Any]] = {
    "whole": [start(TYPE, LENGTH), body(b"hello")],
    "without a length": [start(TYPE), body(b"hello")],
    "in parts": [start(TYPE, LENGTH), body(b"he", more=True), body(b"llo")],
    "a stream": [start(TYPE), body(b"he", more=True), body(b"llo", more=True), body(b"")],
    "empty": [start(status=204), body(b"")],
    "closing": [start(TYPE, LENGTH, (b"connection", b"close")), body(b"hello")],
    "chunked by itself": [start(TYPE, (b"transfer-encoding", b"chunked")), body(b"hello")],
    "too long": [start(TYPE, LENGTH), body(b"hello world")],
    "split": [start((b"x-name", b"value\r\nx-more: 1"), LENGTH), body(b"hello")],
    "odd name": [start((b"x name", b"value"), LENGTH), body(b"hello")],
    "fails before": [ValueError()],
    "fails between": [start(TYPE, LENGTH), ValueError()],
    "fails amid": [start(TYPE), body(b"he", more=True), ValueError()],
}
# uvicorn has sent the head by then, and can only break off.
BETTER = {"fails between": ANSWERS["fails before"]}


@asynccontextmanager
async def served(protocol: type[HttpToolsProtocol], messages: list[Any]) -> AsyncIterator[int]:
    """The port of an application that sends these messages, or raises them."""

    async def application(_: Any, receive: Any, send: Any) -> None:
        await receive()
        for message in messages:
            if isinstance(message, Exception):
                raise message
            await send(dict(message))

    config = uvicorn.Config(application, lifespan="off", log_config=None)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: protocol(config, ServerState(), {}), "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def received(port: int, requests: bytes) -> bytes:
    """All that comes until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(requests)
    try:
        async with asyncio.timeout(10):
            return await reader.read()
    finally:
        writer.close()


@pytest.mark.parametrize(
    "requests", [CLOSING, GET + CLOSING, OLD, HEAD, POST], ids=["closing", "pipelined", "HTTP 1.0", "HEAD", "100"]
)
@pytest.mark.parametrize("answer", ANSWERS)
async def test_bytes_are_those_of_uvicorn(answer: str, requests: bytes) -> None:
    """Whatever an application sends, a client receives what uvicorn would have sent, errors included."""
    async with served(HttpToolsProtocol, BETTER.get(answer, ANSWERS[answer])) as port:
        expected = await received(port, requests)
    async with served(Protocol, ANSWERS[answer]) as port:
        actual = await received(port, requests)

    assert expected == actual
