import asyncio

from litestar import Controller, Response, get
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec

from features.health.dtos import Health
from tenantry.http.policy import public
from tenantry.observability.metrics import MEDIA_TYPE, metrics
from tenantry.readiness import Readiness

PROBES = "probes carry no credential"
FAILING = {503: ResponseSpec(Health, description="A check fails", generate_examples=False)}


class HealthController(Controller):
    path = "/health"

    @get(opt=public(PROBES, vital=True), summary="All checks", responses=FAILING)
    async def health(self, readiness: NamedDependency[Readiness]) -> Response[Health]:
        """The same as readiness."""
        return await _checked(readiness)

    @get("/live", opt=public(PROBES, vital=True), summary="The process answers")
    async def live(self) -> Health:
        """Touches no dependency: a database that is down is no reason to restart this process."""
        return Health("ok", [])

    @get("/ready", opt=public(PROBES, vital=True), summary="The process may take traffic", responses=FAILING)
    async def ready(self, readiness: NamedDependency[Readiness]) -> Response[Health]:
        """503, and which check failed, while the database or another dependency does not serve."""
        return await _checked(readiness)

    @get("/startup", opt=public(PROBES, vital=True), summary="The process has started")
    async def startup(self) -> Health:
        """Answers from the moment that the application is loaded."""
        return Health("ok", [])


class MetricsController(Controller):
    path = "/metrics"

    @get(
        opt=public("scrapers carry no credential; nothing in it names a tenant or a person", vital=True),
        summary="Metrics of all workers",
        media_type=MEDIA_TYPE,
    )
    async def metrics(self) -> bytes:
        """Requests, trips to the database and processes, in the text format of Prometheus."""
        metrics.fold()
        return await asyncio.to_thread(metrics.exposition)


async def _checked(readiness: Readiness) -> Response[Health]:
    checks = await readiness.results()
    if all(check.ok for check in checks if check.critical):
        return Response(Health("ok", checks))
    return Response(Health("failing", checks), status_code=503)
