"""The headers of deprecated routes, and what keeps the service from booting because it would mislead clients."""

import re
from collections.abc import Iterable
from urllib.parse import quote

from litestar.exceptions import ImproperlyConfiguredException
from litestar.routes import HTTPRoute
from litestar.types import Scope

from tenantry.http.deprecation import Deprecated
from tenantry.http.policy import policy_of
from tenantry.http.protocol import remember

__all__ = ("MisleadingDeprecation", "Notice", "Notices", "notices_of")

PARAMETER = re.compile(r"{(\w+)}")
ADDRESS = re.compile(r"https://[!#-;=?-Z\[\]_a-z~]+")


class MisleadingDeprecation(ImproperlyConfiguredException):
    """A route that would end before it is deprecated, or whose successor is not there."""


class Notice:
    """Of one method of one route. All is encoded once but the path of a successor that has parameters."""

    def __init__(self, deprecated: Deprecated) -> None:
        headers = [(name.lower().encode(), value.encode()) for name, value in deprecated.headers()]
        is_template = deprecated.successor is not None and PARAMETER.search(deprecated.successor)
        self._template = headers.pop()[1].decode() if is_template else None
        self._headers = headers
        remember(headers)

    def headers(self, scope: Scope) -> list[tuple[bytes, bytes]]:
        if self._template is None:
            return self._headers
        values = {name: quote(str(value), safe="") for name, value in scope["path_params"].items()}
        return [*self._headers, (b"link", self._template.format_map(values).encode())]


Notices = dict[tuple[str, str], Notice]
"""By the path that a route has in the OpenAPI document, and method."""


def notices_of(routes: Iterable[HTTPRoute]) -> Notices:
    """
    Raises:
        MisleadingDeprecation
    """
    routes = [*routes]
    found = {
        (route.path_format, str(method)): policy.deprecated
        for route in routes
        for handler in route.route_handlers
        if (policy := policy_of(handler)) is not None and policy.deprecated is not None
        for method in handler.http_methods
    }
    paths = {route.path_format for route in routes}
    for (path, method), deprecated in found.items():
        if fault := fault_of(deprecated, path, paths):
            raise MisleadingDeprecation(f"{method} {path}: {fault}")
    return {key: Notice(deprecated) for key, deprecated in found.items()}


def fault_of(deprecated: Deprecated, path: str, paths: set[str]) -> str | None:
    """Why clients should not be told this, or could not be."""
    successor = deprecated.successor
    if deprecated.sunset is not None and deprecated.sunset < deprecated.since:
        return f"its sunset {deprecated.sunset} is before its deprecation {deprecated.since}"
    if deprecated.details is not None and not ADDRESS.fullmatch(deprecated.details):
        return f"{deprecated.details} is no address that begins with https://"
    if successor is None or ADDRESS.fullmatch(successor):
        return None
    if successor not in paths or successor == path:
        return f"there is no other route {successor}"
    if unknown := {*PARAMETER.findall(successor)} - {*PARAMETER.findall(path)}:
        return f"it has no {', '.join(sorted(unknown))}, which its successor {successor} asks for"
    return None
