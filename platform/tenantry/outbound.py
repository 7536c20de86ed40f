"""Requests to addresses that somebody else has chosen, such as the issuer of a tenant's identity provider.

A name is resolved first, every address that it has is looked at, and the connection goes to one of these and nowhere
else: between the look and the connection nobody can make the name mean another host. What is not on the internet is
refused, unless `TENANTRY_OUTBOUND_NETWORKS` names it. Redirects are answers like any other, proxies of the environment
are not used, and time and size are bounded.
"""

import asyncio
import socket
import ssl
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

import httpcore
import msgspec
from litestar.config.app import AppConfig
from litestar.plugins import InitPlugin

from tenantry.config import ConfigurationError, Settings, variable
from tenantry.inject import provided

__all__ = ("Outbound", "OutboundFailed", "OutboundPlugin", "OutboundRefused", "is_on_the_internet")

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
CONNECTIONS, SECONDS, LARGEST = 20, 5.0, 262_144
UNICAST = ip_network("2000::/3")
# Python 3.11 calls these global, or they lead to an IPv4 address that nobody has looked at.
DECEPTIVE = tuple(map(ip_network, ("2001::/23", "2002::/16", "3fff::/20", "192.88.99.0/24")))


class OutboundRefused(Exception):
    """The address is none to which this service goes."""


class OutboundFailed(Exception):
    """No answer, or none within the bounds."""


class Reply(msgspec.Struct, frozen=True):
    status: int
    body: bytes


def is_on_the_internet(address: Address) -> bool:
    if isinstance(address, IPv6Address) and address not in UNICAST:
        return False
    if any(address in network for network in DECEPTIVE if network.version == address.version):
        return False
    return address.is_global and not address.is_multicast


class GuardedBackend(httpcore.AsyncNetworkBackend):
    """Connects to addresses that it has looked at; TLS still asks for the certificate of the name."""

    def __init__(self, exceptions: tuple[Network, ...]) -> None:
        self._backend = httpcore.AnyIOBackend()
        self._exceptions = exceptions

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  # httpcore's signature
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from error
        addresses = [ip_address(info[4][0]) for info in found]
        if not addresses or not all(map(self._is_allowed, addresses)):
            raise OutboundRefused(f"{host} is not on the internet")
        return await self._backend.connect_tcp(str(addresses[0]), port, timeout, local_address, socket_options)

    async def connect_unix_socket(self, *_: object, **__: object) -> httpcore.AsyncNetworkStream:
        raise OutboundRefused("sockets of the file system are not on the internet")

    async def sleep(self, seconds: float) -> None:
        await self._backend.sleep(seconds)

    def _is_allowed(self, address: Address) -> bool:
        plain = address.ipv4_mapped if isinstance(address, IPv6Address) and address.ipv4_mapped else address
        named = any(plain in network for network in self._exceptions if network.version == plain.version)
        return named or is_on_the_internet(plain)


class Outbound:
    """Handlers and services name it `outbound`."""

    def __init__(self, settings: Settings) -> None:
        exceptions = networks_of(settings.outbound_networks)
        self._allows_http = not settings.is_production
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=ssl.create_default_context(),
            max_connections=CONNECTIONS,
            max_keepalive_connections=0,
            network_backend=GuardedBackend(exceptions),
        )

    async def get(self, url: str, headers: dict[str, str] | None = None) -> Reply:
        return await self._request("GET", url, headers or {}, None)

    async def post(self, url: str, body: bytes, headers: dict[str, str]) -> Reply:
        return await self._request("POST", url, headers, body)

    async def close(self) -> None:
        await self._pool.aclose()

    async def _request(self, method: str, url: str, headers: dict[str, str], body: bytes | None) -> Reply:
        """
        Raises:
            OutboundRefused: by its scheme or its address.
            OutboundFailed: it took too long, answered too much, or nothing.
        """
        if urlsplit(url).scheme not in (("https", "http") if self._allows_http else ("https",)):
            raise OutboundRefused("only https is spoken")
        sent = {"User-Agent": "tenantry", "Accept": "application/json", "Accept-Encoding": "identity", **headers}
        try:
            async with (
                asyncio.timeout(SECONDS),
                self._pool.stream(method, url, headers=list(sent.items()), content=body) as response,
            ):
                received = b""
                async for part in response.aiter_stream():
                    received += part
                    if len(received) > LARGEST:
                        raise OutboundFailed("the answer is too long")
                return Reply(response.status, received)
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException, TimeoutError) as error:
            raise OutboundFailed(type(error).__name__) from error
        except (httpcore.UnsupportedProtocol, ValueError, UnicodeError) as error:
            raise OutboundRefused("this is no address") from error


def networks_of(text: str) -> tuple[Network, ...]:
    try:
        return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())
    except ValueError as error:
        raise ConfigurationError(f"{variable('outbound_networks')}: {error}") from error


class OutboundPlugin(InitPlugin):
    def __init__(self, settings: Settings) -> None:
        self.outbound = Outbound(settings)

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        app_config.dependencies["outbound"] = provided(self.outbound)
        app_config.on_shutdown.append(self.outbound.close)
        return app_config
