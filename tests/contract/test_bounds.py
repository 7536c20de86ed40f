"""Whatever a client sends, and however slowly: it is bounded, and answered with a problem."""

import asyncio
import gzip
from collections.abc import AsyncIterator

import pytest
from litestar import Litestar

from tenantry.http import guarded, request
from tenantry.http.deadlines import Deadlines
from tenantry.testing import Api, TenantHandle, problem
from tests.contract.sockets import Reply, exchange, listening, opened

GET = b"GET /api/v1/projects HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
POST = b"POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
LARGE = b"a" * 40_000


@pytest.fixture
async def port(app: Litestar) -> AsyncIterator[int]:
    async with listening(app) as port:
        yield port


@pytest.mark.parametrize(
    "head",
    [
        GET + b"X-Large: " + LARGE + b"\r\n\r\n",
        GET + b"X-Large: " + LARGE,
        GET + b"X-Many: 1\r\n" * 100 + b"\r\n",
        b"GET /" + LARGE + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
    ids=["large", "without end", "many", "address"],
)
async def test_head_is_bounded(port: int, head: bytes) -> None:
    """Headers that are too large, too many or never end, and addresses that are too long, are a 431."""
    reply = await exchange(port, head)

    assert (431, "headers_too_large") == (reply.status, reply.code)
    assert reply.headers["connection"] == "close"


async def test_usual_heads_pass(port: int) -> None:
    """98 headers of 300 bytes each are no reason to refuse."""
    reply = await exchange(port, GET + b"".join(b"X-%d: %b\r\n" % (n, b"a" * 300) for n in range(98)) + b"\r\n")

    assert (401, "unauthenticated") == (reply.status, reply.code)


async def test_what_is_no_http_is_a_problem(port: int) -> None:
    """Bytes that are no request are answered with a problem as well."""
    reply = await exchange(port, b"\x16\x03\x01 hello\r\n\r\n")

    assert (400, "malformed_request") == (reply.status, reply.code)
    assert reply.headers["content-type"] == "application/problem+json"


async def test_slow_heads_end(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A head has to come in time, on a connection that was used before as well; who says nothing is hung up on."""
    monkeypatch.setattr(guarded, "HEAD_SECONDS", 0.2)
    keeping = GET.replace(b"Connection: close\r\n", b"") + b"\r\n"
    drip = await exchange(port, GET, b"X-Slow: 1\r\n", pause=0.05)
    silent = await exchange(port)
    async with opened(port) as (reader, writer):
        writer.write(keeping)
        await reader.readuntil(b"}")
        writer.write(b"GET /he")
        second = Reply(await reader.read())

    assert (408, "headers_timeout") == (drip.status, drip.code)
    assert 0 == silent.status
    assert (408, "headers_timeout") == (second.status, second.code)


async def test_slow_bodies_end(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A body has to come in time, and what is missing of it is not waited for for long after the answer."""
    monkeypatch.setattr(request, "DEADLINES", Deadlines(0.2))
    monkeypatch.setattr(guarded, "LINGER_SECONDS", 0.2)
    slow = await exchange(port, POST + b"Content-Length: 100\r\n\r\n{")
    unwanted = await exchange(port, GET.replace(b"Connection: close\r\n", b"Content-Length: 100\r\n\r\n{"))

    assert (408, "body_timeout") == (slow.status, slow.code)
    assert 401 == unwanted.status


async def test_size_of_a_body_is_bounded(port: int) -> None:
    """By what is announced, and where nothing is, by what comes."""
    announced = await exchange(port, POST + b"Connection: close\r\nContent-Length: 2000000\r\n\r\n")
    piece = b"40000\r\n" + b" " * 0x40000 + b"\r\n"
    async with opened(port) as (reader, writer):
        writer.write(POST + b"Transfer-Encoding: chunked\r\n\r\n" + piece * 5)
        chunked = Reply(await reader.readuntil(b"}"))

    assert (413, "body_too_large") == (announced.status, announced.code)
    assert (413, "body_too_large") == (chunked.status, chunked.code)


async def test_compressed_bodies_are_not_taken(api: Api) -> None:
    """A few bytes could stand for gigabytes, so no coding of a body is taken, whether it is one or only says so."""
    bomb = gzip.compress(b" " * 10_000_000)
    kind = {"Content-Type": "application/json"}
    answers = [
        await api.post("/auth/login", content=bomb, headers=kind | {"Content-Encoding": coding})
        for coding in ("gzip", "deflate", "identity, gzip")
    ]
    plain = await api.post("/auth/login", content=b"{}", headers=kind | {"Content-Encoding": "identity"})

    assert [problem(415, "unsupported_media_type")] * 3 == answers
    assert problem(422, "validation_failed") == plain


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"[" * 100_000, 400),
        (b"[" * 100_000 + b"]" * 100_000, 400),
        (b'{"a":' * 100_000, 400),
        (b'{"email": ' + b"[" * 64 + b"]" * 64 + b"}", 400),
        (b'{"email": ' + b"[" * 63 + b"]" * 63 + b"}", 422),
        (b"[" + b"{}," * 50_000 + b"{}]", 400),
        (b'{"email": "' + b"[{" * 500 + b'", "password": "\\"[["}', 422),
        (b'{"email": 1e999}', 400),
        (b'{"email": ' + b"9" * 10_000 + b"}", 400),
        (b'{"email": 9223372036854775808, "password": -1e308}', 422),
    ],
    ids=["open", "lists", "objects", "65 deep", "64 deep", "wide", "in texts", "infinite", "digits", "2^63"],
)
async def test_depth_and_numbers_are_bounded(api: Api, body: bytes, status: int) -> None:
    """JSON is taken up to 64 levels deep, whatever calls the decoder, and numbers as far as the wire knows them."""
    answer = await api.post("/auth/login", content=body, headers={"Content-Type": "application/json"})

    assert status == answer.status_code, answer.text
    assert answer.headers["content-type"] == "application/problem+json"


async def test_numbers_in_parameters_are_bounded(api: Api, acme: TenantHandle) -> None:
    """A number in the address that is beyond any limit is a 400 as any other."""
    for number in ("9" * 5_000, str(2**63), "-1", "1e999", "NaN"):
        assert problem(400, "invalid_parameter") == await api.as_(acme.owner).get(f"/projects?limit={number}")


async def test_clients_that_leave_cost_nothing(port: int) -> None:
    """A connection that is given up in the middle of a head or a body leaves no timer behind that answers nobody."""
    for start in (GET, POST + b"Content-Length: 100\r\n\r\n{"):
        async with opened(port) as (_, writer):
            writer.write(start)
            await asyncio.sleep(0.02)
    reply = await exchange(port, GET + b"\r\n")

    assert 401 == reply.status
