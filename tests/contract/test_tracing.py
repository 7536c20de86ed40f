"""Traces go to a collector where the environment names one, say what a request did, and tell nobody's secrets."""

import json
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import httpx
import pytest

from tenantry.config import ConfigurationError, Settings
from tenantry.observability.tracing import are_traces_wanted
from tenantry.testing import PASSWORD, TenantHandle
from tenantry.testing.service import LiveService, environment_of, running_service
from tests.contract.collector import Collector, collecting

UNTRACED = """
import asyncio, sys
from tenantry.serving import application

async def serve():
    async with application().lifespan():
        print([name for name in sys.modules if name.partition(".")[0] == "opentelemetry"])

asyncio.run(serve())
"""


@pytest.fixture(scope="module")
def collector() -> Iterator[tuple[Collector, str]]:
    with collecting() as collector:
        yield collector


@pytest.fixture(scope="module")
def service(
    settings: Settings, collector: tuple[Collector, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LiveService]:
    asked = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector[1],
        "OTEL_BSP_SCHEDULE_DELAY": "50",
        "TENANTRY_LOG_FORMAT": "json",
    }
    with running_service(settings, tmp_path_factory.mktemp("traced"), **asked) as service:
        yield service


class Traced:
    """A client whose requests each belong to a trace that it chose."""

    def __init__(self, service: LiveService, collector: Collector) -> None:
        self.service, self.collector = service, collector
        self.client = httpx.Client(base_url=service.url, trust_env=False)
        self.trace = self.span = ""

    def request(
        self, method: str, path: str, *, headers: dict[str, Any] | None = None, **options: Any
    ) -> httpx.Response:
        self.trace, self.span = secrets.token_hex(16), secrets.token_hex(8)
        all_headers = {"traceparent": f"00-{self.trace}-{self.span}-01", **(headers or {})}
        return self.client.request(method, path, headers=all_headers, **options)

    def lines(self) -> list[dict[str, object]]:
        """Of the last request, once its access line is there."""
        deadline = monotonic() + 5
        while monotonic() < deadline:
            lines = [json.loads(line) for line in self.service.log.read_text().splitlines() if line.startswith("{")]
            lines = [line for line in lines if line.get("trace_id") == self.trace]
            if "request" in [line["event"] for line in lines]:
                return lines
            sleep(0.01)
        raise AssertionError(f"no access line of {self.trace}")


@pytest.fixture
def traced(service: LiveService, collector: tuple[Collector, str]) -> Iterator[Traced]:
    traced = Traced(service, collector[0])
    with traced.client:
        yield traced


async def test_request_and_its_trips_are_one_trace(traced: Traced, acme: TenantHandle) -> None:
    """The span of a request is named by its route, continues the caller's trace, and holds one span for each trip."""
    login = {"email": acme.member.email, "password": PASSWORD}
    token = traced.request("POST", "/api/v1/auth/login", json=login).json()["access_token"]
    response = traced.request("GET", "/api/v1/projects?limit=7", headers={"Authorization": f"Bearer {token}"})
    (line,) = (line for line in traced.lines() if line["event"] == "request")
    request, *trips = traced.collector.of(traced.trace, least=2)

    assert (200, "GET /api/v1/projects", traced.span) == (response.status_code, request.name, request.parent)
    assert {
        "http.request.method": "GET", "http.route": "/api/v1/projects", "url.path": "/api/v1/projects",
        "http.response.status_code": 200,
    }.items() <= request.attributes.items()  # fmt: skip
    assert "tenantry" == request.service
    assert {("CLIENT", request.id)} == {(trip.kind, trip.parent) for trip in trips}
    assert any("FROM projects" in trip.attributes["db.query.text"] for trip in trips)
    assert {"postgresql"} == {trip.attributes["db.system.name"] for trip in trips}
    assert line["lane"] in ({trip.attributes["tenantry.lane"] for trip in trips} | {"both"})


@pytest.mark.parametrize(
    ("method", "path", "status", "name"),
    [
        ("GET", "/nowhere/canary@example.com", 404, "GET"),
        ("POST", "/metrics", 405, "POST"),
        ("PROPFIND", "/x", 404, "HTTP"),
    ],
)
def test_what_no_route_answers_is_traced(traced: Traced, method: str, path: str, status: int, name: str) -> None:
    """Errors before routing have a span as well, with a name that does not grow with what clients ask for."""
    response = traced.request(method, path)
    (span,) = traced.collector.of(traced.trace)

    assert (status, name) == (response.status_code, span.name)
    assert status == span.attributes["http.response.status_code"]


def test_log_lines_name_the_trace(traced: Traced) -> None:
    """The access line and every other of the request lead to its trace."""
    response = traced.request("POST", "/api/v1/auth/login", json={"email": "a@example.com", "password": "wrong"})
    lines = traced.lines()

    assert 401 == response.status_code
    assert ["login.refused", "request"] == [line["event"] for line in lines]


def test_secrets_do_not_leave_with_a_trace(traced: Traced) -> None:
    """No query string, credential, path of no route or value of a statement is in what the collector gets."""
    traced.request("GET", "/api/v1/auth/email/verify?token=canary-query")
    traced.request("GET", "/canary-path")
    traced.request("GET", "/api/v1/me", headers={"Authorization": "Bearer canary-token", "Cookie": "canary-cookie"})
    traced.request("POST", "/api/v1/auth/login", json={"email": "canary@example.com", "password": "canary-password"})
    spans = traced.collector.of(traced.trace, least=2)

    assert "POST /api/v1/auth/login" == spans[0].name
    assert b"canary" not in traced.collector.raw


async def test_failing_statement_is_marked_and_keeps_its_values(traced: Traced, acme: TenantHandle) -> None:
    """The span of a trip that the database refused is an error, named by its kind and without what it was about."""
    login = {"email": acme.member.email, "password": PASSWORD}
    token = traced.request("POST", "/api/v1/auth/login", json=login).json()["access_token"]
    taken = {"name": "Canary", "slug": acme.slug}
    response = traced.request("POST", "/api/v1/tenants", json=taken, headers={"Authorization": f"Bearer {token}"})
    request, *trips = traced.collector.of(traced.trace, least=3)

    assert (409, False) == (response.status_code, request.is_error)
    assert [True] == [bool(trip.attributes.get("error.type")) for trip in trips if trip.is_error]
    assert acme.slug.encode() not in traced.collector.raw


def test_headers_that_are_no_text_are_answered(traced: Traced) -> None:
    """Bytes that the instrumentation cannot decode are no error of the server, and do not end the trace."""
    headers = {"User-Agent": b"\xff\\", "Baggage": b"\xff\\"}
    response = traced.request("GET", "/health/live?%ff", headers=headers)

    assert 200 == response.status_code
    assert "GET /health/live" == traced.collector.of(traced.trace)[0].name


def test_untraced_service_loads_nothing_of_it(settings: Settings, tmp_path: Path) -> None:
    """Without an endpoint in the environment a worker that serves has no module of OpenTelemetry."""
    environment = {name: value for name, value in environment_of(settings).items() if not name.startswith("OTEL_")}
    served = subprocess.run(
        [sys.executable, "-c", UNTRACED], env=environment, cwd=tmp_path, capture_output=True, text=True, check=True
    )

    assert "[]" == served.stdout.splitlines()[-1]


@pytest.mark.parametrize(
    ("environ", "wanted"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:4318/v1/traces"}, True),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_TRACES_EXPORTER": "none"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_SDK_DISABLED": "true"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, False),
    ],
)
def test_standard_variables_decide(environ: dict[str, str], wanted: bool) -> None:
    """Whether there are traces follows from OpenTelemetry's own variables; an empty one counts as not set."""
    assert wanted == are_traces_wanted(environ)


@pytest.mark.parametrize(
    "environ",
    [{"OTEL_TRACES_EXPORTER": "jaeger"}, {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}],
)
def test_what_is_not_offered_stops_the_start(environ: dict[str, str]) -> None:
    """Another exporter or protocol is refused with the variable's name: else spans would vanish in silence."""
    with pytest.raises(ConfigurationError, match=f"^{list(environ)[-1]}: must be"):
        are_traces_wanted(environ)
