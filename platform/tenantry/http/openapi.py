"""The OpenAPI document, derived from routes and policies, and Swagger UI without a CDN or an inline script."""

from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from litestar import Request, Response, Router, get
from litestar.config.app import AppConfig
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.plugins import JsonRenderPlugin, OpenAPIRenderPlugin, YamlRenderPlugin
from litestar.openapi.spec import Components, OAuthFlow, OAuthFlows, SecurityScheme
from litestar.params import FromPath
from litestar.plugins import InitPlugin
from litestar.plugins.base import ReceiveRoutePlugin
from litestar.routes import BaseRoute, HTTPRoute

from tenantry.errors import NotFound
from tenantry.http.deny_by_default import is_generated
from tenantry.http.policy import Allow, Public, policy_of, public
from tenantry.http.problems import Problem

__all__ = ("OpenApiPlugin",)

PATH = "/docs"
TOKEN_URL = "/api/v1/auth/token"  # noqa: S105 -- an address, no password
OUR_ASSETS = Path(__file__).parent / "assets"
MEDIA_TYPES = {".js": "text/javascript", ".css": "text/css", ".png": "image/png"}
PROBLEMS = {400: "Not understood", 401: "Not signed in", 403: "Not allowed", 404: "Not found", 422: "Not acceptable"}


class OpenApiPlugin(InitPlugin, ReceiveRoutePlugin):
    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        app_config.openapi_config = OpenAPIConfig(
            title="Tenantry",
            version=version("tenantry"),
            description="Sign up, create a tenant, work in it. Press **Authorize** to log in with e-mail and password.",
            use_handler_docstrings=True,
            components=Components(
                security_schemes={
                    "Password": SecurityScheme(
                        type="oauth2",
                        description="Log in with e-mail (as username) and password.",
                        flows=OAuthFlows(password=OAuthFlow(token_url=TOKEN_URL, scopes={})),
                    ),
                    "Bearer": SecurityScheme(type="http", scheme="bearer", bearer_format="JWT"),
                }
            ),
            openapi_router=DocumentationRouter(PATH, route_handlers=[asset], include_in_schema=False),
            render_plugins=[SwaggerUi(path="/"), JsonRenderPlugin(), YamlRenderPlugin()],
        )
        return app_config

    def receive_route(self, route: BaseRoute) -> None:
        """Write into each operation what its policy asks for and which problems it can answer."""
        if isinstance(route, HTTPRoute):
            for handler in route.route_handlers:
                if not is_generated(handler):
                    document_policy(route, handler)


class DocumentationRouter(Router):
    """Without Litestar's catch-all, which answers an unknown path in HTML."""

    def register(self, value: Any) -> list[BaseRoute]:
        if getattr(getattr(value, "fn", None), "__name__", "") == "handle_schema_path_not_found":
            return []
        return super().register(value)


class SwaggerUi(OpenAPIRenderPlugin):
    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        return (OUR_ASSETS / "index.html").read_bytes()


@get("/assets/{name:str}", opt=public("Swagger UI's own files"), sync_to_thread=False)
def asset(name: FromPath[str]) -> Response[bytes]:
    """A file of the Swagger UI."""
    for folder in (OUR_ASSETS, swagger_ui_folder()):
        path = folder / name
        if path.suffix in MEDIA_TYPES and path.parent == folder and path.is_file():
            return Response(
                path.read_bytes(),
                media_type=MEDIA_TYPES[path.suffix],
                headers={"Cache-Control": "public, max-age=86400"},
            )
    raise NotFound


def swagger_ui_folder() -> Path:
    """The built files of Swagger UI; the wheel that carries them is a Flask extension, which is never imported."""
    spec = find_spec("flask_swagger_ui")
    assert spec is not None and spec.submodule_search_locations
    return Path(next(iter(spec.submodule_search_locations))) / "dist"


def document_policy(route: HTTPRoute, handler: HTTPRouteHandler) -> None:
    policy = policy_of(handler)
    statuses = {400, 422} if "data" in handler.parsed_fn_signature.parameters else {400}
    if not isinstance(policy, Public):
        statuses |= {401, 403}
        handler.security = [{"Password": []}, {"Bearer": []}]
    if route.path_parameters:
        statuses.add(404)
    if isinstance(policy, Allow):
        handler.description = f"{handler.fn.__doc__ or ''}\n\nPermission: `{policy.permission.name}`".strip()
    problems = {
        status: ResponseSpec(
            Problem, description=PROBLEMS[status], media_type="application/problem+json", generate_examples=False
        )
        for status in sorted(statuses)
    }
    handler.responses = {**problems, **(handler.responses or {})}
