"""A client of the application under test, and the matcher of its problems."""

import secrets
from collections.abc import Callable
from contextlib import AsyncExitStack
from http import HTTPStatus
from ipaddress import IPv6Address
from typing import Any, Self

import httpx
from litestar import Litestar
from litestar.types import HTTPScope, Receive, Send

from tenantry.feature import API_PREFIX
from tenantry.testing.reach import Call, calls
from tenantry.testing.world import Account

__all__ = ("Api", "From", "asgi_client", "clients_of", "elsewhere", "problem")


def asgi_client(app: Litestar, *, address: str = "127.0.0.1", url: str = "http://testserver") -> httpx.AsyncClient:
    """A client of an application in this process, which sees it come from that address."""

    async def noting(scope: HTTPScope, receive: Receive, send: Send) -> None:
        calls.append(Call(app, scope["method"], scope["path"]))
        await app(scope, receive, send)

    transport = httpx.ASGITransport(app=noting, client=(address, 1))  # type: ignore[arg-type]  # Litestar's own are narrower
    return httpx.AsyncClient(transport=transport, base_url=url)


def elsewhere() -> str:
    """An address in a network that nobody else has come from."""
    return str(IPv6Address((0x2001_0DB8 << 96) | (secrets.randbits(32) << 64) | 1))


def clients_of(app: Litestar, clients: AsyncExitStack) -> "From":
    """A maker of clients that come from an address."""

    def client(address: str) -> Api:
        made = asgi_client(app, address=address)
        clients.push_async_callback(made.aclose)
        return Api(made)

    return client


class Api:
    """`await api.as_(acme.admin).get("/projects")`: paths are below the API prefix, `//health` is not."""

    def __init__(self, client: httpx.AsyncClient, credential: str | None = None) -> None:
        self.client, self.credential = client, credential

    def as_(self, account: Account) -> Self:
        return type(self)(self.client, account.token)

    def bearing(self, credential: str) -> Self:
        return type(self)(self.client, credential)

    async def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        headers = dict(options.pop("headers", {}))
        if self.credential is not None:
            headers.setdefault("Authorization", f"Bearer {self.credential}")
        url = path[1:] if path.startswith("//") else API_PREFIX + path
        return await self.client.request(method, url, headers=headers, **options)

    async def get(self, path: str, **options: Any) -> httpx.Response:
        return await self.request("GET", path, **options)

    async def post(self, path: str, **options: Any) -> httpx.Response:
        return await self.request("POST", path, **options)

    async def patch(self, path: str, **options: Any) -> httpx.Response:
        return await self.request("PATCH", path, **options)

    async def delete(self, path: str, **options: Any) -> httpx.Response:
        return await self.request("DELETE", path, **options)


From = Callable[[str], Api]


class _Problem:
    def __init__(self, status: int, code: str, members: dict[str, Any]) -> None:
        self.expected = {"status": status, "code": code, **members}

    def __eq__(self, response: object) -> bool:
        assert isinstance(response, httpx.Response)
        if response.headers.get("content-type") != "application/problem+json":
            return False
        found = response.json()
        return bool(
            response.status_code == self.expected["status"]
            and found["request_id"] == response.headers["x-request-id"]
            and found.items() >= self.expected.items()
        )

    __hash__ = None  # type: ignore[assignment]  # an expectation is compared, never stored

    def __repr__(self) -> str:
        return f"problem({self.expected})"


def problem(status: int, code: str, **members: Any) -> _Problem:
    """`assert problem(409, "project_archived") == response`."""
    HTTPStatus(status)
    return _Problem(status, code, members)
