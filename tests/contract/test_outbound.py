"""Where requests may go whose address somebody else has chosen."""

from ipaddress import ip_address

import pytest

from tenantry.config import ConfigurationError, Settings
from tenantry.outbound import Outbound, OutboundRefused, is_on_the_internet

INSIDE = (
    "0.0.0.1", "10.1.2.3", "100.64.0.1", "127.0.0.1", "169.254.169.254", "172.16.0.1", "192.168.1.1", "192.0.2.1",
    "192.88.99.1", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255",
    "::", "::1", "::127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "100::1", "2001::1",
    "2001:db8::1", "2002:a9fe:a9fe::", "3fff::1", "fc00::1", "fe80::1", "ff02::1",
)  # fmt: skip
OUTSIDE = ("1.1.1.1", "93.184.216.34", "2606:4700:4700::1111", "2a00:1450:4001:81b::200e")


@pytest.mark.parametrize("address", INSIDE)
def test_what_is_not_on_the_internet(address: str) -> None:
    """Private, local, reserved, and whatever leads to an IPv4 address that nobody looked at."""
    assert not is_on_the_internet(ip_address(address))


@pytest.mark.parametrize("address", OUTSIDE)
def test_what_is_on_the_internet(address: str) -> None:
    """Else no provider could be asked."""
    assert is_on_the_internet(ip_address(address))


@pytest.mark.parametrize(
    "url",
    [
        "http://[::1]:9/", "http://[::ffff:127.0.0.1]:9/", "http://127.1:9/", "http://2130706433:9/",
        "http://0x7f.1:9/", "http://localhost:9/", "file:///etc/passwd", "ftp://127.0.0.1/",
    ],
)  # fmt: skip
async def test_spellings_do_not_help(url: str) -> None:
    """However an address inside is written, it is refused before anything is sent."""
    outbound = Outbound(Settings())

    with pytest.raises(OutboundRefused):
        await outbound.get(url)

    await outbound.close()


async def test_production_speaks_https_only() -> None:
    """What is said in clear could be anybody's."""
    outbound = Outbound(Settings(env="production", outbound_networks="127.0.0.0/8"))

    with pytest.raises(OutboundRefused, match="https"):
        await outbound.get("http://127.0.0.1:9/")

    await outbound.close()


def test_a_wrong_network_is_refused() -> None:
    """Before the service starts, and by the name of the variable."""
    with pytest.raises(ConfigurationError, match="TENANTRY_OUTBOUND_NETWORKS"):
        Outbound(Settings(outbound_networks="10.0.0.0/8, inside"))
