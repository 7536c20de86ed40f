"""The access line in JSON takes a way of its own, and keeps what holds for every line."""

import asyncio
import io
import json
import logging
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import msgspec
import pytest
import structlog
from litestar import Litestar

from tenantry.config import Settings
from tenantry.context import RequestRecord, count_statement, current_tenant, enter_tenant, start_request
from tenantry.ids import new_id
from tenantry.observability.access import log_access
from tenantry.observability.logging import configure_logging
from tenantry.testing import Api, TenantHandle, asgi_client
from tenantry.testing.service import COMMAND, LiveService, environment_of, free_port, stop, wait_until_ready

pytestmark = pytest.mark.anyio
FIRST = ["timestamp", "level", "logger", "event"]
WriteTo = Callable[..., io.StringIO]


@pytest.fixture
def logged(settings: Settings) -> Iterator[WriteTo]:
    """Sends JSON lines where the test can read them."""

    def start(stream: Any = None, **changed: Any) -> Any:
        configure_logging(msgspec.structs.replace(settings, log_format="json", **changed))
        (handler,) = logging.getLogger().handlers
        assert isinstance(handler, logging.StreamHandler)
        handler.setStream(stream or io.StringIO())
        return handler.stream

    yield start
    configure_logging(settings)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    logging.getLogger().handlers[0].flush()
    return [json.loads(line) for line in stream.getvalue().splitlines()]


async def test_line_says_which_way_the_statements_took(api: Api, acme: TenantHandle, logged: WriteTo) -> None:
    """It names the lane and the time that the database took, and neither where the database was not asked."""
    stream = logged()
    await api.as_(acme.member).get("/projects")
    await api.get("//health/live")
    asked, not_asked = (line for line in lines(stream) if line["event"] == "request")

    assert asked["lane"] in ("fast", "session", "both")
    assert 0 < asked["database_milliseconds"] <= asked["milliseconds"]
    assert {"lane", "database_milliseconds"}.isdisjoint(not_asked)


@pytest.mark.parametrize(
    ("lanes", "named"), [(["fast"], "fast"), (["session"], "session"), (["session", "fast"], "both"), ([], None)]
)
def test_lane_of_several_trips(lanes: list[Any], named: str | None) -> None:
    """A request that took both ways says so; trips outside of a request disturb nothing."""
    record = start_request("abcdefgh")
    for lane in lanes:
        count_statement(lane, 0.25)

    assert (named, 0.25 * len(lanes)) == (record.lane, record.database_seconds)


async def test_lines_begin_alike(api: Api, acme: TenantHandle, logged: WriteTo) -> None:
    """When, how severe, who and what come first in every line, and the request comes last."""
    stream = logged()
    await api.post("/auth/login", json={"email": acme.member.email, "password": "wrong"})
    other, access = lines(stream)

    assert (FIRST, FIRST) == (list(other)[:4], list(access)[:4])
    assert ("login.refused", "request") == (other["event"], access["event"])
    assert other["request_id"] == access["request_id"]
    assert access["timestamp"].endswith("Z")


async def test_level_silences_the_line(api: Api, logged: WriteTo) -> None:
    """Where only warnings are wanted there is no access line."""
    stream = logged(log_level="warning")
    await api.get("//health/live")
    structlog.get_logger("tenantry.access").warning("response_broken_off")

    assert ["response_broken_off"] == [line["event"] for line in lines(stream)]


async def test_client_is_an_address_or_unknown(app: Litestar, logged: WriteTo) -> None:
    """What a trusted proxy passes on as the client's address is logged only if it can be one."""
    stream = logged()
    for client in ("2001:db8::7", 'canary@example.com"\n', "eyJcanary.canary.canary"):
        async with asgi_client(app, address=client) as sender:
            await sender.get("/health/live")

    assert ["2001:db8::7", "(unknown)", "(unknown)"] == [line["client"] for line in lines(stream)]


def test_lines_do_not_mix(logged: WriteTo, tmp_path: Path) -> None:
    """Threads that write records and access lines at the same time write whole lines."""
    with (tmp_path / "log").open("w") as stream:
        logged(stream)
        route = "/" + "x" * 5000

        def write() -> None:
            for number in range(100):
                log_access(RequestRecord(str(number)), "GET", route, 200, 0.1, 1, "")
                logging.getLogger("library").warning("%s", "y" * 5000)

        threads = [Thread(target=write) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        logging.getLogger().handlers[0].flush()
    found = [json.loads(line)["logger"] for line in (tmp_path / "log").read_text().splitlines()]

    assert {"tenantry.access": 400, "library": 400} == {name: found.count(name) for name in set(found)}


async def test_tasks_enter_tenants_of_their_own() -> None:
    """A task that a request starts may enter a tenant without taking it along, and its trips count for the request."""
    record, tenants = start_request("abcdefgh"), [new_id(), new_id()]

    async def work(tenant: Any) -> Any:
        enter_tenant(tenant)
        await asyncio.sleep(0)
        count_statement("fast", 0.1)
        return current_tenant()

    assert tenants == await asyncio.gather(*map(work, tenants))
    assert (None, 2) == (current_tenant(), record.fast)


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_requests_outlive_standard_output(settings: Settings, tmp_path: Path, log_format: str) -> None:
    """When nobody reads the log any more requests are answered as before."""
    port = free_port()
    served = msgspec.structs.replace(settings, port=port, public_url=f"http://127.0.0.1:{port}")
    environment = {**environment_of(served), "TENANTRY_LOG_FORMAT": log_format}
    with (tmp_path / "errors").open("wb") as errors:
        process = subprocess.Popen(COMMAND, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=errors)
    service = LiveService(f"http://127.0.0.1:{port}", process, tmp_path / "errors")
    try:
        wait_until_ready(service)
        assert process.stdout is not None
        process.stdout.close()
        with httpx.Client(base_url=service.url, trust_env=False) as client:
            answers = [client.get("/health/live").status_code for _ in range(300)]
    finally:
        stop(service)

    assert {200} == set(answers)
