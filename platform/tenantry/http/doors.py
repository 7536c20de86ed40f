"""Before a request is looked at: is there room, is it meant for this service, and may its origin read answers?"""

import re
from urllib.parse import urlsplit

from litestar.types import Scope, Send

from tenantry.config import Settings
from tenantry.errors import AppError, BadRequest
from tenantry.limits.load import Load

__all__ = ("Doors",)

PORT = re.compile(rb":\d+$")
Headers = list[tuple[bytes, bytes]]
FOR_CACHES = (b"vary", b"origin")
SHOWN = (
    b"access-control-expose-headers",
    b", ".join(
        (
            b"Content-Disposition",
            b"Deprecation",
            b"ETag",
            b"Idempotency-Replayed",
            b"Link",
            b"Location",
            b"RateLimit",
            b"RateLimit-Policy",
            b"Retry-After",
            b"Sunset",
            b"X-Request-ID",
        )
    ),
)
PREFLIGHT: Headers = [
    (b"access-control-allow-methods", b"GET, HEAD, POST, PUT, PATCH, DELETE"),
    (
        b"access-control-allow-headers",
        b"Accept, Authorization, Content-Type, DPoP, Idempotency-Key, If-Match, If-None-Match, X-API-Key, X-Request-ID",
    ),
    (b"access-control-max-age", b"600"),
]


class UnknownHost(BadRequest):
    code = "unknown_host"
    title = "This service does not answer to that host"


class Doors:
    def __init__(self, settings: Settings, vital: frozenset[str]) -> None:
        self.load = Load(settings.requests_at_once, vital)
        self._hosts = hosts_of(settings)
        self.origins = frozenset(listed(settings.cors_origins))
        """Exact ones; answers carry no credentials for them, so cookies stay with pages of this service."""

    def refusal(self, scope: Scope) -> AppError | None:
        """Probes come by whatever address the machine has, and are let in however many there are."""
        load = self.load
        if load.running > load.most and scope["path"] not in load.vital:
            return load.refuse()
        if self._hosts is not None and header(scope, b"host") not in self._hosts and scope["path"] not in load.vital:
            return UnknownHost()
        return None

    def is_preflight(self, scope: Scope) -> bool:
        asks = scope.get("method") == "OPTIONS" and header(scope, b"access-control-request-method", port=True)
        return bool(asks and self.origins and header(scope, b"origin", port=True) in self.origins)

    async def answer_preflight(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 204, "headers": [*PREFLIGHT]})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    def headers(self, scope: Scope) -> Headers:
        origin = header(scope, b"origin", port=True)
        if origin not in self.origins:
            return [FOR_CACHES]
        return [FOR_CACHES, (b"access-control-allow-origin", origin), SHOWN]


def hosts_of(settings: Settings) -> frozenset[bytes] | None:
    """None for any. In production the public address names the host, unless a setting does."""
    named = listed(settings.allowed_hosts)
    if not named and settings.is_production:
        named = [PORT.sub(b"", urlsplit(settings.base_url).netloc.encode())]
    return frozenset(each.lower() for each in named) or None


def listed(setting: str) -> list[bytes]:
    return [part.strip().encode() for part in setting.split(",") if part.strip()]


def header(scope: Scope, wanted: bytes, *, port: bool = False) -> bytes:
    """The first of that name; without its port where that does not matter, in lower case."""
    value = next((value for name, value in scope["headers"] if name == wanted), b"")
    return value if port else PORT.sub(b"", value).lower()
