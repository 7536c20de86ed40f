"""Who a client is while it shows no credential: its address, or the network that one customer of a provider gets."""

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

from litestar.types import Scope

__all__ = ("client_network", "network_of")

PREFIX = 64
MAPPED = IPv6Network("::ffff:0:0/96")


def client_network(scope: Scope) -> str:
    """Of the client that the server found: behind `TENANTRY_TRUSTED_PROXIES` the one that those name."""
    client = scope.get("client")
    return network_of(client[0]) if client else ""


def network_of(address: str) -> str:
    """An IPv4 address as it is, of an IPv6 address its /64: its holder can take another one in it for each request."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:  # a name, or nothing, where the server listens on a Unix socket
        return address
    if isinstance(parsed, IPv6Address):
        if parsed in MAPPED:
            return str(IPv4Address(parsed.packed[-4:]))
        return str(IPv6Network((parsed.packed, PREFIX), strict=False))
    return str(parsed)
