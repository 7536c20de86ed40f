"""The gate before every route: enforces its policy, and opens its unit of work."""

from urllib.parse import urlsplit

from litestar import Litestar
from litestar.config.app import AppConfig
from litestar.di import Provide
from litestar.plugins import InitPlugin
from litestar.routes import HTTPRoute
from litestar.types import ASGIApp, Scope
from sqlalchemy import text

from tenantry.config import Settings
from tenantry.http.directory import Directory
from tenantry.http.endpoint import endpoints_of
from tenantry.http.headers import OutermostLayer
from tenantry.http.policy import Allow, policy_of
from tenantry.http.visit import Gate
from tenantry.http.ways import LongWay, ShortWay
from tenantry.limits.limiter import Limiter
from tenantry.readiness import NotReady, Readiness
from tenantry.security.browser import BrowserMode, TokenCarrier, carrier_of
from tenantry.security.possession import Holder, Possession
from tenantry.security.principal import Principal
from tenantry.security.tokens import TokenService
from tenantry.visitor import visitor_of

__all__ = ("GatePlugin",)


class GatePlugin(InitPlugin):
    """Puts the gate before every route, and watches that the database knows the permissions they ask for."""

    def __init__(self, settings: Settings, tokens: TokenService, limiter: Limiter, readiness: Readiness) -> None:
        self.browser = BrowserMode(settings, tokens)
        self.possession = Possession(self.browser.own, urlsplit(settings.base_url).path.rstrip("/"), limiter.is_first)
        self.gate = Gate(tokens, self.browser, self.possession, limiter, settings)
        self.short: ShortWay | None = None
        readiness.add("permissions", self._check_permissions)

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        app_config.middleware.append(self._long_way)
        app_config.dependencies["principal"] = Provide(principal_of, sync_to_thread=False)
        app_config.dependencies["carrier"] = Provide(self._carrier, sync_to_thread=False)
        app_config.dependencies["holder"] = Provide(self._holder, sync_to_thread=False)
        app_config.dependencies["visitor"] = Provide(visitor_of, sync_to_thread=False)
        app_config.on_startup += [self._shorten, self._start]
        return app_config

    def _carrier(self, scope: Scope) -> TokenCarrier:
        return carrier_of(self.browser, scope)

    def _holder(self, scope: Scope) -> Holder:
        return Holder(self.possession, scope)

    def _long_way(self, app: ASGIApp) -> LongWay:
        return LongWay(app, self.gate, lambda: self.short)

    def _shorten(self, app: Litestar) -> None:
        outermost = app.asgi_handler
        assert isinstance(outermost, OutermostLayer)
        if not isinstance(outermost.app, ShortWay):
            routes = [route for route in app.routes if isinstance(route, HTTPRoute)]
            directory = Directory((route, endpoints_of(route, app)) for route in routes)
            outermost.app = self.short = ShortWay(outermost.app, directory, self.gate)

    def _start(self, app: Litestar) -> None:
        self.app = app
        self.gate.database = app.state.database
        policies = [policy_of(handler) for route in app.routes for handler in getattr(route, "route_handlers", ())]
        self.permissions = {policy.permission.name for policy in policies if isinstance(policy, Allow)}

    async def _check_permissions(self) -> str:
        """A permission that no role has in the database would be a 403 for everybody."""
        async with self.gate.database.transaction() as unit_of_work:
            rows = await unit_of_work.rows(text("SELECT DISTINCT permission FROM role_permissions"))
        if missing := self.permissions - {row.permission for row in rows}:
            raise NotReady(f"unknown to the database: {', '.join(sorted(missing))}: run `tenantry database upgrade`")
        return f"{len(self.permissions)} known"


def principal_of(scope: Scope) -> Principal:
    """Who makes the request; only for routes that are not public."""
    principal: Principal = scope["user"]
    return principal
