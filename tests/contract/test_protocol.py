"""Answers leave in one write, and are byte for byte those of uvicorn's own protocol."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
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
    "not modified": [start((b"etag", b'"1"'), status=304), body(b"")],
    "not modified, with a body": [start((b"etag", b'"1"'), status=304), body(b"hello")],
    "closing": [start(TYPE, LENGTH, (b"connection", b"close")), body(b"hello")],
    "closing, in capitals": [start(TYPE, LENGTH, (b"Connection", b"close")), body(b"hello")],
    "empty, of some length": [start((b"Content-Length", b"5"), status=204), body(b"")],
    "empty, in chunks": [start((b"Transfer-Encoding", b"chunked"), status=204), body(b"")],
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


SCOPE = ("type", "asgi", "http_version", "scheme", "root_path", "headers", "state", "method", "path", "raw_path",
         "query_string")  # fmt: skip


@pytest.mark.parametrize(
    "request_line",
    [
        b"GET / HTTP/1.1", b"GET /a%20b/%C3%A9?c=%20d&e HTTP/1.1", b"GET /%e9 HTTP/1.1", b"GET //a//b/?? HTTP/1.1",
        b"GET http://y/z?q HTTP/1.1", b"OPTIONS * HTTP/1.1", b"QUERY /a;b=c HTTP/1.1", b"GET / HTTP/1.0",
        b"GET /?\xff HTTP/1.1", b"POST /a#b HTTP/1.1", b"CONNECT x:1 HTTP/1.1", b"G@T / HTTP/1.1",
    ],
)  # fmt: skip
@pytest.mark.parametrize("root_path", ["", "/below"])
async def test_requests_are_read_like_uvicorn(request_line: bytes, root_path: str) -> None:
    """An application is told of a request what uvicorn tells, and what is no request is refused in the same way."""
    head = request_line + b"\r\nHost: x\r\nX-Odd-Name: a\r\nx-odd-name: b\r\nUpgrade: websocket\r\n"

    async def application(scope: Any, _: Any, send: Any) -> None:
        told = repr({key: scope.get(key) for key in SCOPE}).encode()
        await send(start((b"content-length", b"%d" % len(told))))
        await send(body(told))

    seen = []
    for protocol in (HttpToolsProtocol, Protocol):
        config = uvicorn.Config(application, lifespan="off", log_config=None, ws="none", root_path=root_path)
        made = partial(protocol, config, ServerState(), {"a": 1})
        server = await asyncio.get_running_loop().create_server(made, "127.0.0.1", 0)
        async with server:
            answer = await received(server.sockets[0].getsockname()[1], head + b"Connection: close\r\n\r\n")
        seen.append(answer.replace(b"connection: close\r\n", b""))

    assert seen[0] == seen[1]
