"""The OpenAPI document, derived from routes, policies and docstrings."""

import sys
from dataclasses import dataclass, field
from importlib.metadata import version
from inspect import getdoc
from typing import Any

from litestar.config.app import AppConfig
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin, YamlRenderPlugin
from litestar.openapi.spec import Components, License, OAuthFlow, OAuthFlows, OpenAPI, SecurityScheme, Server, Tag
from litestar.plugins import InitPlugin
from litestar.plugins.base import ReceiveRoutePlugin
from litestar.routes import BaseRoute, HTTPRoute

from tenantry.http.deny_by_default import is_generated
from tenantry.http.docs_page import SwaggerUi, docs_router
from tenantry.http.examples import complete
from tenantry.http.operations import document, operation_id
from tenantry.http.schemas import StructSchemas
from tenantry.security.browser import ACCESS_COOKIE, CSRF_HEADER

__all__ = ("OpenApiPlugin",)

DESCRIPTION = "Sign up, create a tenant, work in it. Press **Authorize** to log in with e-mail and password."
SECURITY_SCHEMES = {
    "Password": SecurityScheme(
        type="oauth2",
        description="The username is your e-mail address.",
        flows=OAuthFlows(password=OAuthFlow(token_url="/api/v1/auth/token", scopes={})),  # noqa: S106 -- an address
    ),
    "Bearer": SecurityScheme(
        type="http",
        scheme="bearer",
        bearer_format="JWT",
        description=(
            "An access token or an API key that you have already. A token that is bound to a key of yours (RFC 9449)"
            " goes into `Authorization: DPoP …` instead, with a proof in the header `DPoP`."
        ),
    ),
    "ApiKey": SecurityScheme(
        type="apiKey", name="X-API-Key", security_scheme_in="header", description="An API key, `tny_…`."
    ),
    "Cookie": SecurityScheme(
        type="apiKey",
        name=ACCESS_COOKIE,
        security_scheme_in="cookie",
        description="Of a page of this service, which has logged in with `X-Session-Mode: cookie`.",
    ),
    "CsrfToken": SecurityScheme(
        type="apiKey",
        name=CSRF_HEADER,
        security_scheme_in="header",
        description="Beside the cookie for all but GET: the `csrf_token` of the log-in, or of `GET /api/v1/auth/csrf`.",
    ),
}


class OpenApiPlugin(InitPlugin, ReceiveRoutePlugin, StructSchemas):
    def __init__(self) -> None:
        self.config = DocumentConfig(
            title="Tenantry",
            version=version("tenantry"),
            description=DESCRIPTION,
            use_handler_docstrings=True,
            components=Components(security_schemes=dict(SECURITY_SCHEMES)),
            servers=[Server("/")],
            license=License("Apache-2.0", identifier="Apache-2.0"),
            openapi_router=docs_router("/docs"),
            operation_id_creator=operation_id,
            render_plugins=[SwaggerUi(path="/"), JsonRenderPlugin(), YamlRenderPlugin()],
        )

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        app_config.openapi_config = self.config
        return app_config

    def receive_route(self, route: BaseRoute) -> None:
        """Write into each operation what its policy asks for and which problems it can answer."""
        if isinstance(route, HTTPRoute):
            for handler in route.route_handlers:
                if not is_generated(handler) and handler.resolve_include_in_schema():
                    document(route, handler)
                    self.config.place(route, handler)


@dataclass
class DocumentConfig(OpenAPIConfig):
    places: dict[str, tuple[str, int]] = field(default_factory=dict)
    """By path, the file and line of its first handler."""
    slices: dict[tuple[bool, str], Tag] = field(default_factory=dict)
    """Those of the API come first."""

    def place(self, route: HTTPRoute, handler: HTTPRouteHandler) -> None:
        code = handler.fn.__code__
        here = (code.co_filename, code.co_firstlineno)
        self.places[route.path_format] = min(self.places.get(route.path_format, here), here)
        package = sys.modules.get(handler.fn.__module__.rpartition(".")[0])
        for name in handler.resolve_tags():
            self.slices[not route.path.startswith("/api/"), name] = Tag(
                name, description=getdoc(package) if package else None
            )

    def to_openapi_schema(self) -> OpenAPI:
        self.tags = [tag for _, tag in sorted(self.slices.items(), key=lambda item: item[0])]
        return Document(**vars(super().to_openapi_schema()), places=self.places)


@dataclass
class Document(OpenAPI):
    """Its paths stand as in the code, which tells a story; Litestar sorts them by the names of handlers."""

    places: dict[str, tuple[str, int]] = field(default_factory=dict)

    @property
    def _exclude_fields(self) -> set[str]:
        return {"places"}

    def to_schema(self) -> dict[str, Any]:
        self.paths = dict(sorted((self.paths or {}).items(), key=lambda item: self.places[item[0]]))
        document = super().to_schema()
        complete(document)
        return document
