"""Swagger UI at `/docs`, served from here: no CDN, nothing inline, no code but its own files and `assets/`."""

from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from litestar import Request, Response, Router, get
from litestar.openapi.plugins import OpenAPIRenderPlugin
from litestar.params import FromPath
from litestar.routes import BaseRoute

from tenantry.errors import NotFound
from tenantry.http.policy import public

__all__ = ("SwaggerUi", "docs_router", "swagger_ui_folder")

OUR_ASSETS = Path(__file__).parent / "assets"
MEDIA_TYPES = {".js": "text/javascript", ".css": "text/css", ".png": "image/png"}


class SwaggerUi(OpenAPIRenderPlugin):
    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        return (OUR_ASSETS / "index.html").read_bytes()


class DocsRouter(Router):
    """Without Litestar's catch-all, which answers an unknown path in HTML."""

    def register(self, value: Any) -> list[BaseRoute]:
        if getattr(getattr(value, "fn", None), "__name__", "") == "handle_schema_path_not_found":
            return []
        return super().register(value)


@get("/assets/{name:str}", opt=public("Swagger UI's own files"), sync_to_thread=False)
def asset(name: FromPath[str]) -> Response[bytes]:
    """A file of the Swagger UI."""
    path = assets().get(name)
    if path is None:
        raise NotFound
    return Response(
        path.read_bytes(), media_type=MEDIA_TYPES[path.suffix], headers={"Cache-Control": "public, max-age=3600"}
    )


@cache
def assets() -> dict[str, Path]:
    """All there is to get, by name: what a caller sends never becomes part of a path."""
    found = [*swagger_ui_folder().iterdir(), *OUR_ASSETS.iterdir()]
    return {path.name: path for path in found if path.suffix in MEDIA_TYPES}


def docs_router(path: str) -> Router:
    return DocsRouter(path, route_handlers=[asset], include_in_schema=False)


def swagger_ui_folder() -> Path:
    """The built files of Swagger UI; the wheel that carries them is a Flask extension, which is never imported."""
    spec = find_spec("flask_swagger_ui")
    assert spec is not None and spec.submodule_search_locations
    return Path(next(iter(spec.submodule_search_locations))) / "dist"
