"""A collector of traces, as far as a service can tell: an HTTP server that takes OTLP and decodes it."""

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from time import monotonic, sleep
from typing import Any

import msgspec
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span as RawSpan

__all__ = ("Collector", "Span", "collecting")

WAIT_SECONDS = 10


class Span(msgspec.Struct):
    name: str
    kind: str
    trace: str
    id: str
    parent: str
    is_error: bool
    attributes: dict[str, Any]
    service: str


class Collector:
    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.raw = b""
        """All that was received, to look for what must not be in it."""
        self.paths: set[str] = set()

    def take(self, path: str, body: bytes) -> None:
        self.paths.add(path)
        self.raw += body
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            service = {each.key: each.value.string_value for each in resource.resource.attributes}["service.name"]
            self.spans += [decoded(span, service) for scope in resource.scope_spans for span in scope.spans]

    def of(self, trace: str, *, least: int = 1) -> list[Span]:
        """The spans of a trace, its request's own first, once there are so many."""
        deadline = monotonic() + WAIT_SECONDS
        while monotonic() < deadline:
            found = [span for span in self.spans if span.trace == trace]
            if len(found) >= least and any(span.kind == "SERVER" for span in found):
                return sorted(found, key=lambda span: span.kind != "SERVER")
            sleep(0.02)
        raise AssertionError(f"{least} spans of {trace} did not come: {self.spans}")


def decoded(span: RawSpan, service: str) -> Span:
    values = {
        each.key: getattr(each.value, each.value.WhichOneof("value") or "string_value") for each in span.attributes
    }
    kind = RawSpan.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_")
    is_error = span.status.code == 2
    ids = span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex()
    return Span(span.name, kind, *ids, is_error, values, service)


@contextmanager
def collecting() -> Iterator[tuple[Collector, str]]:
    """The collector and its address, for as long as the block runs."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            collector.take(self.path, body)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield collector, f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
