"""The application behind the server's own protocol, in this process, with a transport that keeps what is written."""

import asyncio
import json
from typing import Any

import uvicorn
from litestar import Litestar
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from tenantry.http.guarded import GuardedProtocol

__all__ = ("Wire",)


class Kept(asyncio.Transport):
    """Of one connection."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 1), "sockname": ("127.0.0.1", 80)})
        self.answer: asyncio.Future[bytes] | None = None

    def write(self, data: Any) -> None:
        assert self.answer is not None
        self.answer.set_result(bytes(data))

    def is_closing(self) -> bool:
        return False

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def close(self) -> None:
        pass


class Wire:
    """A connection that is kept alive."""

    def __init__(self, app: Litestar, token: str, protocol: type[HttpToolsProtocol] = GuardedProtocol) -> None:
        self._token = token
        self._transport = Kept()
        self._protocol = protocol(uvicorn.Config(app, lifespan="off", log_config=None), ServerState(), {})
        self._protocol.connection_made(self._transport)

    async def send(self, method: str, path: str, body: Any = None, headers: str = "") -> bytes:
        payload = b"" if body is None else json.dumps(body).encode()
        if payload:
            headers += f"Content-Type: application/json\r\nContent-Length: {len(payload)}\r\n"
        head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {self._token}\r\n{headers}\r\n"
        self._transport.answer = asyncio.get_running_loop().create_future()
        self._protocol.data_received(head.encode() + payload)
        answer = await self._transport.answer
        assert answer[9:10] == b"2", answer
        return answer
