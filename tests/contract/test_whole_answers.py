"""An answer that the server takes whole is the one that would leave as messages. Connections that rest end in time."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from litestar import Litestar

from features.projects.tests.factories import ProjectFactory
from tenantry.config import Settings
from tenantry.http.answer import Answer
from tenantry.http.idle import IDLE
from tenantry.http.reply import Reply
from tenantry.ids import new_id
from tenantry.testing import TenantHandle
from tests.contract.sockets import Reply as Received
from tests.contract.sockets import listening, opened

PROJECTS = "/api/v1/projects"
NEW = {"x-request-id", "etag", "date"}
"""In each answer."""


@pytest.fixture
async def port(app: Litestar) -> AsyncIterator[int]:
    async with listening(app) as port:
        yield port


async def answer_of(port: int, request: str, token: str, *headers: str, body: object = None) -> Received:
    """On a connection that is kept alive, which is what a server takes whole answers for."""
    content = b"" if body is None else json.dumps(body).encode()
    given = ["Host: x", f"Authorization: Bearer {token}", *headers]
    if content:
        given += ["Content-Type: application/json", f"Content-Length: {len(content)}"]
    async with opened(port) as (reader, writer):
        writer.write("\r\n".join([f"{request} HTTP/1.1", *given, "", ""]).encode() + content)
        head = await reader.readuntil(b"\r\n\r\n")
        length = Received(head).headers.get("content-length", "0")
        return Received(head + await reader.readexactly(int(length)))


@pytest.mark.parametrize(
    ("request_line", "headers", "status"),
    [
        ("GET {one}", (), 200),
        ("GET {one}", ("Accept: application/json", "X-Request-ID: chosen-by-me"), 200),
        ("GET {one}", ("If-None-Match: *",), 304),
        ("GET {list}?limit=1&name[contains]=a%20%C3%A9", (), 200),
        ("GET {list}?limit=1", (), 200),
        ("POST {list}", (), 201),
        ("POST {list}", ("Idempotency-Key: {key}",), 201),
        ("PATCH {one}", (), 200),
        ("DELETE {one}", (), 204),
    ],
)
async def test_whole_answers_are_those_of_messages(
    port: int, acme: TenantHandle, monkeypatch: pytest.MonkeyPatch, request_line: str, headers: tuple[str, ...],
    status: int,
) -> None:  # fmt: skip
    """Status, header lines in their order, and body are the same, whichever way an answer leaves."""
    taken: list[bool] = []
    take = Reply.take

    def noted(reply: Reply, answer: Answer) -> bool:
        taken.append(take(reply, answer))
        return taken[-1]

    found = []
    for way in (noted, lambda *_: False):
        monkeypatch.setattr(Reply, "take", way)
        await acme.has(ProjectFactory)
        one = f"{PROJECTS}/{(await acme.has(ProjectFactory)).id}"
        body = {"name": f"{new_id()}"} if "POST" in request_line else {"description": "x"}
        answer = await answer_of(
            port, request_line.format(one=one, list=PROJECTS), acme.owner.token,
            *(header.format(key=new_id()) for header in headers),
            body=body if request_line.startswith("P") else None,
        )  # fmt: skip
        links = answer.headers.get("link", "").partition("cursor=")[0]
        found.append((answer.status, [(n, v) for n, v in answer.headers.items() if n not in NEW | {"link"}], links))

    assert taken == [True]
    assert found[0][0] == status
    assert found[0] == found[1]


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send a request, and read its answer."""
    writer.write(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
    await reader.readuntil(b"}")


async def test_empty_lines_are_no_request(app: Litestar, monkeypatch: pytest.MonkeyPatch) -> None:
    """They neither keep a connection from ending that rests, nor one that has never sent a request."""
    monkeypatch.setattr("tenantry.http.idle.LOOK_SECONDS", 0.1)
    monkeypatch.setattr("tenantry.http.guarded.HEAD_SECONDS", 1.0)
    async with listening(app, keep_alive_seconds=1) as port, opened(port) as rests, opened(port) as begins:
        await ask(*rests)
        for _ in range(8):
            for reader, writer in (rests, begins):
                if not reader.at_eof():
                    writer.write(b"\r\n")
            await asyncio.sleep(0.25)

        assert rests[0].at_eof()
        assert begins[0].at_eof()


async def test_idle_connections_end(app: Litestar, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who sends nothing after an answer is hung up on, who goes on is not, and nobody is remembered who has left."""
    monkeypatch.setattr("tenantry.http.idle.LOOK_SECONDS", 0.1)
    async with listening(app, keep_alive_seconds=1) as port, opened(port) as idle, opened(port) as busy:
        await ask(*idle)
        for _ in range(8):
            await ask(*busy)
            await asyncio.sleep(0.25)

        assert idle[0].at_eof()
        assert not busy[0].at_eof()
    await asyncio.sleep(0.2)
    assert not IDLE._since
