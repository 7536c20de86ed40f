"""From where and with what a request comes: said by the client and the network, and proven by nobody."""

import msgspec
from litestar.di import NamedDependency
from litestar.types import Scope

from tenantry.limits.address import network_of

__all__ = ("CurrentVisitor", "Visitor", "visitor_of")

USER_AGENT_LENGTH = 256


class Visitor(msgspec.Struct, frozen=True):
    user_agent: str
    """At most 256 characters, all of them printable."""
    address: str
    """Empty where there is none, as over a socket of the file system."""

    @property
    def network(self) -> str:
        """What limits count by."""
        return network_of(self.address)


CurrentVisitor = NamedDependency[Visitor]


def visitor_of(scope: Scope) -> Visitor:
    """The address is the server's, which believes the forwarding headers of trusted proxies only."""
    user_agent = next((value for name, value in scope["headers"] if name == b"user-agent"), b"")
    printable = "".join(filter(str.isprintable, user_agent.decode("latin-1")))
    return Visitor(printable[:USER_AGENT_LENGTH], (scope.get("client") or ("",))[0])
