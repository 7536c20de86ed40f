"""Traces through OpenTelemetry, where its own environment variables ask for them; else not even imported."""

import asyncio
import os
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from litestar import Litestar
from litestar.config.app import AppConfig
from litestar.plugins import InitPlugin

from tenantry.config import ConfigurationError
from tenantry.context import Lane

if TYPE_CHECKING:
    from tenantry.observability.spans import Spans

__all__ = ("NO_SPAN", "TracingPlugin", "are_traces_wanted", "database_span", "trace_id")

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
LITESTARS_OWN = "litestar.plugins.opentelemetry"
NO_SPAN: AbstractContextManager[None] = nullcontext()
_spans: "Spans | None" = None
"""Of the process: one exporter, and its thread, serve all applications in it."""


class TracingPlugin(InitPlugin):
    """The last in the list: its span covers the layer that another plugin puts around the application."""

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        if are_traces_wanted(os.environ):
            app_config.on_startup.append(self._start)
            app_config.on_shutdown.append(self._flush)
        else:
            # After this Litestar 2.25 imports its own plugin if it can: 1.5 MiB of OpenTelemetry that nobody uses.
            sys.modules.setdefault(LITESTARS_OWN, None)  # type: ignore[arg-type]  # makes the import fail
            app_config.on_startup.append(allow_import)
        return app_config

    def _start(self, app: Litestar) -> None:
        from tenantry.observability.spans import Spans, TracedApplication

        global _spans
        _spans = _spans or Spans()
        if not isinstance(app.asgi_handler, TracedApplication):
            app.asgi_handler = TracedApplication(app.asgi_handler, _spans)

    async def _flush(self) -> None:
        if _spans is not None:
            await asyncio.to_thread(_spans.flush)


def allow_import() -> None:
    if sys.modules.get(LITESTARS_OWN, sys) is None:
        del sys.modules[LITESTARS_OWN]


def are_traces_wanted(environ: Mapping[str, str]) -> bool:
    """
    Raises:
        ConfigurationError: they are, in a way that is not offered here.
    """
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    default = "otlp" if any(environ.get(name) for name in ENDPOINTS) else "none"
    exporter = environ.get("OTEL_TRACES_EXPORTER") or default
    if exporter not in ("none", "otlp"):
        raise ConfigurationError(f"OTEL_TRACES_EXPORTER: must be otlp or none (got {exporter!r})")
    protocol = next((environ[name] for name in PROTOCOLS if environ.get(name)), "http/protobuf")
    if exporter == "otlp" and protocol != "http/protobuf":
        raise ConfigurationError(f"{PROTOCOLS[1]}: must be http/protobuf (got {protocol!r})")
    return exporter == "otlp"


def trace_id() -> str | None:
    """Of the request, in hexadecimal; None where nothing is traced."""
    return None if _spans is None else _spans.trace_id()


def database_span(statement: object, lane: Lane) -> AbstractContextManager[None]:
    """Around one trip. `statement` is made a text only where it is traced; it must not carry values."""
    return NO_SPAN if _spans is None else _spans.database_span(statement, lane)
