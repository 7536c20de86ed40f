"""A provider that others wrote, one that can be told to lie, and a service that may reach both."""

import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from time import monotonic, sleep
from typing import Any

import httpx
import msgspec
import pytest
from litestar import Litestar
from sqlalchemy import text

from features.sso.tests.browser import RETURN_URLS, Browser
from features.sso.tests.hostile import Hostile
from tenantry.app import create_app
from tenantry.clock import now
from tenantry.config import Settings
from tenantry.ids import new_id
from tenantry.tenancy.directory import as_owner
from tenantry.testing import Api, TenantHandle

SECONDS = 30
CONFIRM = text("INSERT INTO sso_domains (domain, tenant_id, confirmed_at) VALUES (:domain, :tenant, :now)")
Connect = Callable[..., Awaitable[dict[str, Any]]]


@pytest.fixture(scope="session")
def provider() -> Iterator[str]:
    """Address of `oidc-provider-mock`, in a process of its own."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = (sys.executable, "-m", "oidc_provider_mock", "--port", str(port), "--require-nonce", "true")
    environment = {**os.environ, "AUTHLIB_INSECURE_TRANSPORT": "1"}
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    url, started = f"http://127.0.0.1:{port}", monotonic()
    try:
        while True:
            try:
                httpx.get(f"{url}/jwks")
                break
            except httpx.TransportError:
                assert process.poll() is None, "the provider has ended"
                assert monotonic() - started < SECONDS
                sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture(scope="session")
async def sso_app(settings: Settings, provider: str) -> AsyncIterator[Litestar]:
    """As production would be set up beside a provider in its own network."""
    changes = {
        "outbound_networks": "127.0.0.0/8",
        "sso_return_urls": ", ".join(RETURN_URLS),
        "sso_issuer": provider,
        "sso_client_id": "operator",
        "sso_client_secret": "hush",
    }
    app = create_app(msgspec.structs.replace(settings, **changes))
    async with app.lifespan():
        yield app


@pytest.fixture
async def browser(sso_app: Litestar) -> AsyncIterator[Browser]:
    async with Browser.of(sso_app) as browser:
        yield browser


@pytest.fixture
async def other_browser(sso_app: Litestar) -> AsyncIterator[Browser]:
    async with Browser.of(sso_app) as browser:
        yield browser


@pytest.fixture
async def hostile() -> AsyncIterator[Hostile]:
    async with Hostile() as hostile:
        yield hostile


@pytest.fixture
def connect(api: Api, settings: Settings) -> Connect:
    """Connects a tenant to an issuer, with a domain that is confirmed."""

    async def connect(tenant: TenantHandle, issuer: str, **changes: Any) -> dict[str, Any]:
        domain = f"d{new_id().hex}.example"
        given = {"name": "x", "issuer": issuer, "client_id": "acme", "client_secret": "hush"}
        body = given | {"default_role": "member", "domains": [domain]} | changes
        created = await api.as_(tenant.owner).post("/sso/connections", json=body)
        with as_owner(settings, writes=True) as connection:
            connection.execute(CONFIRM.bindparams(domain=domain, tenant=tenant.id, now=now()))
        return {"domain": domain, "tenant_id": str(tenant.id), **created.json()}

    return connect
