"""Browser mode: the credential is a cookie, which a browser sends along whoever asks for it (ADR 17).

So what changes something counts only where the browser says that a page of this service has sent it, and that page has
shown the token that only it could read.
"""

import hmac
from datetime import timedelta
from urllib.parse import urlsplit
from uuid import UUID

from litestar.di import NamedDependency
from litestar.types import Scope

from tenantry.config import Settings
from tenantry.errors import Forbidden, Unauthenticated
from tenantry.security.principal import CredentialVerifier, Principal
from tenantry.security.tokens import TokenService

__all__ = (
    "ACCESS_COOKIE",
    "CARRIER",
    "CSRF_HEADER",
    "BrowserMode",
    "CsrfFailed",
    "CurrentCarrier",
    "TokenCarrier",
    "carrier_of",
    "cookie_of",
    "set_cookies",
)

ACCESS_COOKIE, REFRESH_COOKIE = "__Host-tenantry-access", "__Host-tenantry-refresh"
"""The prefix: set over a safe connection, by this very host, for all of it. No other host can plant one."""
CSRF_HEADER = "X-CSRF-Token"
ATTRIBUTES = "Path=/; Secure; HttpOnly; SameSite=Strict"
PURPOSE = b"tenantry browser csrf"
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
CARRIER = "token_carrier"


class CsrfFailed(Forbidden):
    code = "csrf_failed"
    title = "A page of this service did not send this, or sent no `X-CSRF-Token` of this session"


class BrowserMode:
    def __init__(self, settings: Settings, keys: TokenService) -> None:
        self._keys = keys
        own = {origin_of(settings.base_url)}
        if not settings.is_production:
            own |= {origin.replace("//127.0.0.1", "//localhost") for origin in own}
        self.own = frozenset(own)
        others = (each.strip() for each in settings.browser_origins.split(","))
        self.others = frozenset(origin_of(each) for each in others if each)
        self.access_seconds = settings.access_token_seconds
        self.refresh_seconds = int(timedelta(days=settings.refresh_token_days).total_seconds())

    def csrf_token(self, session_id: UUID) -> str:
        """Good for this session alone, and nothing that must be kept."""
        return hmac.digest(self._keys.derived_key(PURPOSE), session_id.bytes, "sha256").hex()

    def authenticate(self, cookie: str, scope: Scope, verifier: CredentialVerifier) -> Principal:
        """
        Raises:
            Unauthenticated: the cookie holds no access token of a session.
            CsrfFailed
        """
        principal = verifier.verify(cookie.encode("latin-1"))
        if principal.session_id is None:
            raise Unauthenticated
        if scope.get("method") not in SAFE:
            self.require_own_page(scope, principal.session_id)
        carrier_of(self, scope).uses_cookies = True
        return principal

    def require_own_page(self, scope: Scope, session_id: UUID) -> None:
        self.require_own_origin(scope)
        if not hmac.compare_digest(_header(scope, CSRF_HEADER.lower().encode()), self.csrf_token(session_id).encode()):
            raise CsrfFailed

    def require_own_origin(self, scope: Scope) -> None:
        """What both headers say, where both are there. A browser that sends neither is not trusted with a cookie."""
        origin, site = _header(scope, b"origin").decode("latin-1"), _header(scope, b"sec-fetch-site")
        is_other = origin in self.others
        if origin and origin not in self.own and not is_other:
            raise CsrfFailed
        if site != b"same-origin" and not is_other and (site or not origin):
            raise CsrfFailed


class TokenCarrier:
    """How the tokens of one request leave: in the body, or in cookies. Who issues them need not know.

    `X-Session-Mode: cookie` asks for cookies; no page of another origin can send it unasked. Whoever came by cookie
    gets new ones.
    """

    def __init__(self, mode: BrowserMode, scope: Scope) -> None:
        self._mode, self._scope = mode, scope
        self.uses_cookies = _header(scope, b"x-session-mode") == b"cookie"
        self.cookies: dict[str, str] = {}

    def carry(self, session_id: UUID, access_token: str, refresh_token: str | None) -> str:
        """The answer is the token against forged requests, which goes into the body.

        Raises:
            CsrfFailed: a page of another origin would log its visitor in.
        """
        self._mode.require_own_origin(self._scope)
        self._set(ACCESS_COOKIE, access_token, self._mode.access_seconds)
        if refresh_token is not None:
            self._set(REFRESH_COOKIE, refresh_token, self._mode.refresh_seconds)
        return self.csrf_token(session_id)

    def csrf_token(self, session_id: UUID) -> str:
        return self._mode.csrf_token(session_id)

    def refresh_token(self) -> str | None:
        """The one in the cookie; whoever uses it has to call `require_own_page`, and gets the next one in a cookie."""
        found = cookie_of(self._scope, REFRESH_COOKIE)
        self.uses_cookies = self.uses_cookies or found is not None
        return found

    def replaced_refresh_token(self) -> str | None:
        """The one in the cookie that a new one is about to replace.

        Raises:
            CsrfFailed: a page of another origin would log its visitor in.
        """
        if not self.uses_cookies:
            return None
        self._mode.require_own_origin(self._scope)
        return cookie_of(self._scope, REFRESH_COOKIE)

    def require_own_page(self, session_id: UUID) -> None:
        """
        Raises:
            CsrfFailed
        """
        self._mode.require_own_page(self._scope, session_id)

    def clear(self) -> None:
        if self.uses_cookies:
            self._set(ACCESS_COOKIE, "", 0)
            self._set(REFRESH_COOKIE, "", 0)

    def _set(self, name: str, value: str, seconds: int) -> None:
        self.cookies[name] = f"{name}={value}; Max-Age={seconds}; {ATTRIBUTES}"


CurrentCarrier = NamedDependency[TokenCarrier]


def carrier_of(mode: BrowserMode, scope: Scope) -> TokenCarrier:
    """One for each request, whoever asks."""
    carrier: TokenCarrier | None = scope["state"].get(CARRIER)
    if carrier is None:
        carrier = scope["state"][CARRIER] = TokenCarrier(mode, scope)
    return carrier


def set_cookies(scope: Scope) -> list[tuple[bytes, bytes]]:
    """The headers of an answer that is no error."""
    carrier: TokenCarrier = scope["state"][CARRIER]
    return [(b"set-cookie", each.encode("latin-1")) for each in carrier.cookies.values()]


def cookie_of(scope: Scope, wanted: str) -> str | None:
    """
    Raises:
        Unauthenticated: there are two of this name.
    """
    start = f"{wanted}="
    lines = [value.decode("latin-1") for name, value in scope["headers"] if name == b"cookie"]
    pairs = [pair.strip() for line in lines for pair in line.split(";")]
    found = [pair.removeprefix(start) for pair in pairs if pair.startswith(start)]
    if len(found) > 1:
        raise Unauthenticated("Send one credential.")
    return found[0] if found else None


def origin_of(address: str) -> str:
    """Scheme, host and port, as browsers write them."""
    parts = urlsplit(address.lower())
    port = "" if parts.port in (None, {"http": 80, "https": 443}.get(parts.scheme)) else f":{parts.port}"
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{parts.scheme}://{host}{port}"


def _header(scope: Scope, wanted: bytes) -> bytes:
    return next((value for name, value in scope["headers"] if name == wanted), b"")
