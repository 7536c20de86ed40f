"""Spans, for processes that are traced: only those import this, and OpenTelemetry with it.

A trace leaves the house, so what may hold people's data stays out of it: query strings, headers with credentials, the
paths of no route, messages of exceptions, and values of statements.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Any

from litestar.enums import HttpMethod, ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, Status, StatusCode

from tenantry.context import Lane

__all__ = ("Spans", "TracedApplication")

SERVICE = "tenantry"
INSIDE = "tenantry.inside"
CREDENTIALS = frozenset({b"authorization", b"cookie", b"proxy-authorization"})
LONGEST_STATEMENT = 2000
FLUSH_SECONDS = 3


class Spans:
    """The exporter reads its own variables: `OTEL_EXPORTER_OTLP_…`, `OTEL_BSP_…`, `OTEL_TRACES_SAMPLER` and others."""

    def __init__(self) -> None:
        # The names of attributes that are stable by now; the instrumentation gives older ones unless told.
        os.environ.setdefault("OTEL_SEMCONV_STABILITY_OPT_IN", "http,database")
        resource = Resource.create()
        if str(resource.attributes["service.name"]).startswith("unknown_service"):
            resource = resource.merge(Resource({"service.name": SERVICE}))
        self.provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self.provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        # So that a slice finds it under `opentelemetry.trace.get_tracer(…)`.
        trace.set_tracer_provider(self.provider)
        self._tracer = self.provider.get_tracer(SERVICE)

    def flush(self) -> None:
        """Send what is left; a collector that does not answer must not keep the process from stopping."""
        # The timeout that `force_flush` takes does not end its retries in 1.45.
        flushing = Thread(target=self.provider.force_flush, name="last spans", daemon=True)
        flushing.start()
        flushing.join(FLUSH_SECONDS)

    def trace_id(self) -> str | None:
        context = trace.get_current_span().get_span_context()
        return trace.format_trace_id(context.trace_id) if context.is_valid else None

    @contextmanager
    def database_span(self, statement: object, lane: Lane) -> Iterator[None]:
        text = statement.decode() if isinstance(statement, bytes) else str(statement)
        operation = (text.split(maxsplit=1) or ["-"])[0].upper()
        attributes = {
            "db.system.name": "postgresql",
            "db.operation.name": operation,
            "db.query.text": text[:LONGEST_STATEMENT],
            "tenantry.lane": lane,
        }
        with self._tracer.start_as_current_span(
            operation,
            kind=SpanKind.CLIENT,
            attributes=attributes,
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                yield
            except Exception as error:
                _fail(span, error)
                raise


class TracedApplication:
    def __init__(self, app: ASGIApp, spans: Spans) -> None:
        self.app = app
        self.middleware = OpenTelemetryMiddleware(
            _go_inside,
            default_span_details=lambda scope: (_method(scope), {}),
            tracer_provider=spans.provider,
            meter_provider=NoOpMeterProvider(),
            exclude_spans=["receive", "send"],
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await self.app(scope, receive, send)
            return
        failures: list[Exception] = []

        async def inside(receive: Receive, send: Send) -> None:
            span = trace.get_current_span()

            async def naming_send(message: Message) -> None:
                if message["type"] == "http.response.start":
                    _name(span, scope)
                await send(message)

            try:
                await self.app(scope, receive, naming_send)
            except Exception as error:  # raised below: the middleware would record its message
                _fail(span, error)
                failures.append(error)
            finally:
                _name(span, scope)

        await self.middleware({**_presentable(scope), INSIDE: inside}, receive, send)  # type: ignore[arg-type]  # Litestar's messages are TypedDicts, not mappings
        if failures:
            raise failures[0]


async def _go_inside(scope: Any, receive: Receive, send: Send) -> None:
    await scope[INSIDE](receive, send)


def _presentable(scope: Scope) -> dict[str, Any]:
    """What the middleware may see. A value that is not ASCII can be one that it fails to decode: a 500 for a header."""
    headers = [
        (name, value)
        for name, value in scope["headers"]
        if name not in CREDENTIALS and name.isascii() and value.isascii()
    ]
    return {**scope, "headers": headers, "path": "", "raw_path": b"", "query_string": b""}


def _method(scope: Any) -> str:
    """A client may send any word."""
    return scope["method"] if scope["method"] in HttpMethod.__members__ else "HTTP"


def _name(span: Span, scope: Scope) -> None:
    """Once the route is known, which is after the span began."""
    route = scope.get("path_template")
    if route and span.is_recording():
        span.update_name(f"{_method(scope)} {route}")
        span.set_attributes({"http.route": route, "url.path": scope["path"]})


def _fail(span: Span, error: Exception) -> None:
    """An exception is named, its message stays here."""
    span.set_status(Status(StatusCode.ERROR))
    span.set_attribute("error.type", type(error).__qualname__)
    if sqlstate := getattr(error, "sqlstate", None):
        span.set_attribute("db.response.status_code", sqlstate)
