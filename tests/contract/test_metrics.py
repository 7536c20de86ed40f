"""Metrics say how much is asked, how long it takes and which way it goes to the database; of all workers."""

import os
import re
import signal
import socket
from collections.abc import Iterator, Set
from contextlib import ExitStack, suppress
from pathlib import Path
from time import monotonic, sleep

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families as families
from prometheus_client.samples import Sample

from tenantry.config import Settings
from tenantry.ids import new_id
from tenantry.observability.metrics import FOLD_SECONDS
from tenantry.observability.worker_metrics import METRICS_FOLDER, worker_metrics
from tenantry.testing import Api, TenantHandle, problem
from tenantry.testing.service import LiveService, running_service

REQUESTS, SECONDS = "http_requests_total", "http_request_duration_seconds_count"
TRIPS, TRIP_SECONDS = "tenantry_database_trips_total", "tenantry_database_trip_seconds_count"
SEEN_SECONDS = FOLD_SECONDS + 0.5
ONE = "/api/v1/projects/{project_id}"


def samples(text: str) -> list[Sample]:
    return [sample for family in families(text) for sample in family.samples]


def value(text: str, name: str, **labels: str) -> float:
    """The sum of all series of that name that have these labels."""
    return sum(each.value for each in samples(text) if each.name == name and labels.items() <= each.labels.items())


async def scrape(api: Api) -> str:
    return (await api.get("//metrics")).text


async def test_scraper_is_given_its_format(api: Api) -> None:
    """Anyone may read them, as text in the format of Prometheus, and the process is among them."""
    response = await api.get("//metrics")

    assert (200, "text/plain; version=0.0.4; charset=utf-8") == (response.status_code, response.headers["content-type"])
    assert value(response.text, "process_resident_memory_bytes") > 1_000_000
    assert value(response.text, "process_open_fds") > 0
    assert value(response.text, "python_gc_collections_total") > 0
    assert problem(405, "method_not_allowed") == await api.post("//metrics")


async def test_request_is_counted_by_route_and_status(api: Api, acme: TenantHandle) -> None:
    """Two projects that are not there are one series of one route, with its count and its time."""
    labels = {"method": "GET", "route": ONE, "status": "404"}
    before = await scrape(api)
    for _ in range(2):
        await api.as_(acme.member).get(f"/projects/{new_id()}")
    after = await scrape(api)

    assert [2, 2] == [value(after, name, **labels) - value(before, name, **labels) for name in (REQUESTS, SECONDS)]
    assert 1 == value(after, "http_requests_in_progress")


async def test_series_do_not_grow_with_what_clients_send(api: Api) -> None:
    """Unknown paths and methods, however many, are counted in one series each, named by neither."""
    for word in ("first", "second"):
        await api.get(f"//{word}/{new_id()}")
        await api.request(word.upper(), f"//{word}")
    known = {tuple(each.labels.items()) for each in samples(await scrape(api)) if each.name == REQUESTS}
    for word in ("third", "fourth"):
        await api.get(f"//{word}/{new_id()}")
        await api.request(word.upper(), f"//{word}")
    now_known = {tuple(each.labels.items()) for each in samples(await scrape(api)) if each.name == REQUESTS}

    assert known | {(("method", "GET"), ("route", "/metrics"), ("status", "200"))} == now_known
    assert {"(other)"} <= {dict(labels)["method"] for labels in now_known}


async def test_trips_are_counted_by_lane(api: Api, acme: TenantHandle) -> None:
    """A request that asks the database adds a trip to the lane it took, with its outcome and its time."""
    before = await scrape(api)
    await api.as_(acme.member).get("/projects")
    after = await scrape(api)
    trips = value(after, TRIPS, outcome="ok") - value(before, TRIPS, outcome="ok")

    assert 1 <= trips == value(after, TRIP_SECONDS) - value(before, TRIP_SECONDS)
    assert {each.labels["lane"] for each in samples(after) if each.name == TRIPS} <= {"fast", "session"}


async def test_no_label_names_a_tenant_or_a_person(api: Api, acme: TenantHandle) -> None:
    """After requests of a tenant nothing in the metrics has an identifier, a name or an address."""
    await api.as_(acme.member).get("/projects")
    await api.as_(acme.owner).patch(f"/projects/{new_id()}", json={"name": acme.name})
    text = await scrape(api)

    assert None is re.search(r"[0-9a-f]{8}-[0-9a-f]{4}|@", text)
    assert acme.slug not in text


@pytest.fixture(scope="module")
def two_workers(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveService]:
    with running_service(
        settings, tmp_path_factory.mktemp("workers"), TENANTRY_WORKERS="2", TENANTRY_LOG_FORMAT="json"
    ) as service:
        yield service


def fetched(service: LiveService, path: str) -> str:
    """Over a connection of its own, which either worker may take."""
    return httpx.get(service.url + path, trust_env=False).text


def both(service: LiveService, *, other_than: Set[str] = frozenset()) -> set[str]:
    """The process ids of the workers, once two are there that are others than these.

    uvicorn may take 30 seconds to see that a worker has gone, if that was about to answer whether it is well.
    """
    deadline = monotonic() + 90
    pids: set[str] = set()
    while monotonic() < deadline:
        with suppress(httpx.TransportError):
            found = samples(fetched(service, "/metrics"))
            pids = {each.labels["pid"] for each in found if each.name == "process_resident_memory_bytes"}
            if len(pids) == 2 and not pids & other_than:
                return pids
        sleep(0.05)
    raise AssertionError(f"two workers did not come up: {pids}")


def live(service: LiveService) -> float:
    return value(fetched(service, "/metrics"), REQUESTS, route="/health/live")


def test_scrape_sees_all_workers(two_workers: LiveService) -> None:
    """Whichever worker answers, it tells of both, a second later at most."""
    both(two_workers)
    before = live(two_workers)
    for _ in range(40):
        fetched(two_workers, "/health/live")
    sleep(SEEN_SECONDS)

    assert {before + 40} == {live(two_workers) for _ in range(8)}


def test_killed_workers_leave_what_they_have_done(two_workers: LiveService) -> None:
    """What they did stays counted; what they were doing, and their memory, is forgotten."""
    killed = both(two_workers)
    fetched(two_workers, "/health/live")
    address = two_workers.url.removeprefix("http://").split(":")
    with ExitStack() as stack:
        for _ in range(3):  # bodies that do not come
            request = b"POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n"
            stack.enter_context(socket.create_connection((address[0], int(address[1])))).sendall(request)
        sleep(SEEN_SECONDS)
        during = value(fetched(two_workers, "/metrics"), "http_requests_in_progress")
        before = live(two_workers)
        for pid in killed:
            os.kill(int(pid), signal.SIGKILL)
        both(two_workers, other_than=killed)
    sleep(SEEN_SECONDS)
    text = fetched(two_workers, "/metrics")

    assert (4, 1) == (during, value(text, "http_requests_in_progress"))
    assert before == value(text, REQUESTS, route="/health/live")


def test_folder_of_the_workers_goes_with_them(settings: Settings, tmp_path: Path) -> None:
    """While the service runs its workers share a folder, and nothing is left of it when it has stopped."""
    with running_service(settings, tmp_path, TENANTRY_WORKERS="2") as service:
        pid = int(both(service).pop())
        variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        (found,) = (os.fsdecode(each) for each in variables if each.startswith(METRICS_FOLDER.encode()))
        folder = Path(found.partition("=")[2])
        there = folder.is_dir()

    assert (True, False) == (there, folder.exists())


def test_one_worker_needs_no_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """One process counts in its memory, and a folder that the operator has chosen stays as it is."""
    with worker_metrics(1):
        alone = os.environ.get(METRICS_FOLDER)
    monkeypatch.setenv(METRICS_FOLDER, "/srv/metrics")
    with worker_metrics(2):
        chosen = os.environ[METRICS_FOLDER]

    assert (None, "/srv/metrics") == (alone, chosen)
