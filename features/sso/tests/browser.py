"""What a browser does: it keeps one cookie, and goes where it is sent."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
from litestar import Litestar

from features.sso.controller import COOKIE
from tenantry.feature import API_PREFIX
from tenantry.testing import Account, asgi_client, elsewhere

__all__ = ("RETURN_URLS", "Browser", "query_of")

RETURN_URLS = ("https://app.example/done", "https://app.example/other?x=1")


class Browser:
    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client
        self.cookie: str | None = None
        self.headers: dict[str, str] = {}

    @classmethod
    @asynccontextmanager
    async def of(cls, app: Litestar) -> AsyncIterator["Browser"]:
        async with asgi_client(app, address=elsewhere(), url="https://testserver") as client:
            yield cls(client)

    def as_(self, account: Account) -> None:
        self.bear(account.token)

    def bear(self, token: str) -> None:
        self.headers = {"Authorization": f"Bearer {token}"}

    async def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        headers = dict(self.headers)
        if self.cookie is not None:
            headers["Cookie"] = f"{COOKIE}={self.cookie}"
        self.client.cookies.clear()
        response = await self.client.request(method, API_PREFIX + path, headers=headers, **options)
        for value in response.headers.get_list("set-cookie"):
            if value.startswith(f"{COOKIE}="):
                self.cookie = value.partition("=")[2].partition(";")[0]
        return response

    async def start(self, connection: dict[str, Any] | None = None, **parameters: str) -> httpx.Response:
        named = {} if connection is None else {"tenant_id": connection["tenant_id"], "connection_id": connection["id"]}
        return await self.request("GET", "/auth/sso/start", params=named | parameters)

    async def sign_in(self, at: str, subject: str, **claims: Any) -> str:
        """At the provider that others wrote: with which address it sends the browser back."""
        url = urlsplit(at)
        async with httpx.AsyncClient() as client:
            await client.put(f"{url.scheme}://{url.netloc}/users/{subject}", json=claims)
            answered = await client.post(at, data={"sub": subject})
        assert answered.status_code == 302, answered.text
        return answered.headers["location"]

    async def come_back(self, address: str) -> httpx.Response:
        return await self.request("GET", f"/auth/sso/callback?{urlsplit(address).query}")

    async def complete(self, code: str, **more: str) -> httpx.Response:
        return await self.request("POST", "/auth/sso/complete", json={"code": code, **more})

    async def arrive(self, start: httpx.Response, subject: str, **claims: Any) -> httpx.Response:
        """All the way from where the provider is asked."""
        assert start.status_code == 302, start.text
        back = await self.come_back(await self.sign_in(start.headers["location"], subject, **claims))
        return await self.complete(query_of(back)["sso_code"])


def query_of(response: httpx.Response) -> dict[str, str]:
    """Of the address that a redirect names."""
    return {name: values[0] for name, values in parse_qs(urlsplit(response.headers["location"]).query).items()}
