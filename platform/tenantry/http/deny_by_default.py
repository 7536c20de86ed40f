"""A route without a policy of its own does not boot, nor one that acts after its answer."""

from litestar.exceptions import ImproperlyConfiguredException
from litestar.handlers import HTTPRouteHandler
from litestar.handlers.base import BaseRouteHandler
from litestar.plugins.base import ReceiveRoutePlugin
from litestar.routes import BaseRoute, HTTPRoute

from tenantry.http.policy import OPT_KEY, policy_of

__all__ = ("ActsAfterwards", "DenyByDefault", "UndeclaredPolicy", "is_generated")


AFTERWARDS = ("background", "after_response")
GENERATED_IN = ("litestar.routes.http", "litestar._openapi.plugin")


class UndeclaredPolicy(ImproperlyConfiguredException):
    """A handler without `opt=allow(…)`, `signed_in()` or `public(…)`, or a policy above the handler."""


class DenyByDefault(ReceiveRoutePlugin):
    def receive_route(self, route: BaseRoute) -> None:
        if not isinstance(route, HTTPRoute):
            raise UndeclaredPolicy(f"{route.path}: only HTTP routes have policies so far")
        for handler in route.route_handlers:
            if not is_generated(handler):
                check_handler(route.path, handler)


class ActsAfterwards(ImproperlyConfiguredException):
    """A handler with `background` or `after_response`."""


def check_handler(path: str, handler: HTTPRouteHandler) -> None:
    where = f"{', '.join(sorted(handler.http_methods))} {path} ({handler.fn.__module__}.{handler.handler_name})"
    if any(OPT_KEY in layer.opt for layer in handler.ownership_layers[:-1] if layer.opt):
        raise UndeclaredPolicy(f"{where}: a policy belongs on the handler, not on its controller or router")
    if policy_of(handler) is None:
        raise UndeclaredPolicy(f"{where}: declare opt=allow(PERMISSION), signed_in() or public('why')")
    if any(getattr(layer, hook, None) for layer in handler.ownership_layers for hook in AFTERWARDS):
        raise ActsAfterwards(
            f"{where}: what runs after the answer runs also when the commit has failed, and may be lost"
        )


def is_generated(handler: BaseRouteHandler) -> bool:
    """Litestar's handlers for OPTIONS and the OpenAPI document, and no others of Litestar."""
    return handler.fn.__module__ in GENERATED_IN
