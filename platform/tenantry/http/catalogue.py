"""Which permissions there are, and which routes ask for each: read from the declarations and from the routes."""

from collections.abc import Sequence

import msgspec
from litestar import Litestar
from litestar.config.app import AppConfig
from litestar.di import Provide
from litestar.plugins import InitPlugin
from litestar.routes import HTTPRoute

from tenantry.http.policy import Allow, policy_of
from tenantry.security.permissions import Permission

__all__ = ("CataloguePlugin", "CataloguedPermission", "GuardedRoute", "PermissionCatalogue")


class GuardedRoute(msgspec.Struct, frozen=True, order=True):
    path: str
    """As the OpenAPI document writes it."""
    method: str


class CataloguedPermission(msgspec.Struct, frozen=True):
    name: str
    description: str
    roles: tuple[str, ...]
    """The built-in ones that include it."""
    routes: tuple[GuardedRoute, ...]


class PermissionCatalogue(msgspec.Struct, frozen=True):
    """All of it is constant, so that a handler which has it can still change nothing but its unit of work."""

    permissions: tuple[CataloguedPermission, ...]


class CataloguePlugin(InitPlugin):
    """Gives handlers that name `catalogue` what the slices have declared."""

    def __init__(self, declared: Sequence[Permission]) -> None:
        self.declared = declared

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        app_config.dependencies["catalogue"] = Provide(self._provide, sync_to_thread=False)
        app_config.on_startup.append(self._read)
        return app_config

    def _provide(self) -> PermissionCatalogue:
        return self.catalogue

    def _read(self, app: Litestar) -> None:
        routes: dict[str, list[GuardedRoute]] = {permission.name: [] for permission in self.declared}
        for route in app.routes:
            for handler in route.route_handlers if isinstance(route, HTTPRoute) else ():
                policy = policy_of(handler)
                if isinstance(policy, Allow) and policy.permission.name in routes:
                    routes[policy.permission.name] += [
                        GuardedRoute(route.path_format, method) for method in handler.http_methods
                    ]
        self.catalogue = PermissionCatalogue(
            tuple(
                CataloguedPermission(
                    permission.name,
                    permission.description,
                    tuple(role.name for role in permission.roles()),
                    tuple(sorted(routes[permission.name])),
                )
                for permission in self.declared
            )
        )
