"""Which hosts a service answers to, which origins may read its answers, and whose word counts for an address."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import msgspec
import pytest
from litestar import Litestar

from tenantry.config import ConfigurationError, Settings, load_settings
from tenantry.http.doors import hosts_of
from tenantry.testing import Api, problem
from tenantry.testing.service import running_service
from tests.faults.planted import Served, serving

APP, OTHER = "https://app.example.com", "https://app.example.com.evil.example"
ASKS = {"Access-Control-Request-Method": "PATCH", "Access-Control-Request-Headers": "authorization,content-type"}


@pytest.fixture(scope="module")
async def served(app: Litestar, settings: Settings) -> AsyncIterator[Served]:
    doors = {"cors_origins": f"{APP}, http://localhost:3000", "allowed_hosts": "api.example.com, TestServer"}
    async with serving(msgspec.structs.replace(settings, **doors)) as served:
        yield served


@pytest.mark.asvs("3.4.2")
async def test_only_listed_origins_may_read_answers(served: Served) -> None:
    """Answers, also problems and those of paths that do not exist, name the origin where it is listed, exactly."""
    named = {}
    for origin in (APP, "http://localhost:3000", OTHER, "http://localhost", "null", APP.upper()):
        for path in ("/projects", "/nothing", "//health/live"):
            answer = await served.api.get(path, headers={"Origin": origin})
            named[origin, path] = answer.headers.get("access-control-allow-origin")
            assert "origin" in answer.headers["vary"].lower()
            assert "access-control-allow-credentials" not in answer.headers

    assert {APP: APP, "http://localhost:3000": "http://localhost:3000"} == {o: n for (o, _), n in named.items() if n}
    assert 6 == sum(name is not None for name in named.values())


@pytest.mark.asvs("3.5.2")
async def test_preflight_is_answered_for_listed_origins(served: Served) -> None:
    """A browser of a listed origin is told what it may send; of another one it is told nothing."""
    yes = await served.api.request("OPTIONS", "/projects", headers={"Origin": APP, **ASKS})
    no = await served.api.request("OPTIONS", "/projects", headers={"Origin": OTHER, **ASKS})
    plain = await served.api.request("OPTIONS", "/projects")

    assert (204, APP) == (yes.status_code, yes.headers["access-control-allow-origin"])
    assert "PATCH" in yes.headers["access-control-allow-methods"]
    assert {"authorization", "content-type", "if-match", "idempotency-key"} <= {
        name.strip().lower() for name in yes.headers["access-control-allow-headers"].split(",")
    }
    assert not [name for name in no.headers if name.startswith("access-control-allow")]
    assert 204 == plain.status_code
    assert "GET" in plain.headers["allow"]


@pytest.mark.asvs("3.4.2")
async def test_by_default_no_origin_may_read(api: Api) -> None:
    """Without a setting no header speaks of origins."""
    answer = await api.get("/projects", headers={"Origin": APP})

    assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.asvs("3.4.2")
@pytest.mark.parametrize("value", ["*", "https://*.example.com", "app.example.com", "https://app.example.com/path"])
def test_origins_are_exact(value: str) -> None:
    """A pattern, or what is no origin, stops the start."""
    with pytest.raises(ConfigurationError, match="TENANTRY_CORS_ORIGINS"):
        load_settings({"TENANTRY_CORS_ORIGINS": value})


async def test_only_listed_hosts_are_answered(served: Served) -> None:
    """With any port and in any case; probes come by whatever address the machine has."""
    statuses = {}
    for host in (
        "api.example.com",
        "API.example.com:8443",
        "testserver",
        "evil.example",
        "api.example.com.evil.example",
    ):
        statuses[host] = (await served.api.get("/projects", headers={"Host": host})).status_code
    refused = await served.api.get("/projects", headers={"Host": "evil.example"})
    probe = await served.api.get("//health/live", headers={"Host": "10.0.0.1:8000"})

    assert [401, 401, 401, 400, 400] == [*statuses.values()]
    assert problem(400, "unknown_host") == refused
    assert 200 == probe.status_code


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ({}, None),
        ({"env": "production", "public_url": "https://API.example.com/base"}, {b"api.example.com"}),
        ({"env": "production", "public_url": "https://[2001:db8::1]:8443"}, {b"[2001:db8::1]"}),
        ({"env": "production", "public_url": "https://a.example", "allowed_hosts": "b.example"}, {b"b.example"}),
    ],
)
def test_production_answers_to_its_public_address(chosen: dict[str, str], expected: set[bytes] | None) -> None:
    """Unless a setting lists others; development answers to any."""
    assert expected == hosts_of(Settings(**chosen))  # type: ignore[arg-type]  # values of different fields


@pytest.mark.parametrize(("trusted", "expected"), [("127.0.0.1", [401, 401, 401, 429]), ("", [401, 401, 429, 429])])
def test_only_trusted_proxies_say_where_a_request_comes_from(
    settings: Settings, tmp_path: Path, trusted: str, expected: list[int]
) -> None:
    """`X-Forwarded-For` of a trusted proxy is the client's address; of anybody else it is nothing."""
    limited = msgspec.structs.replace(settings, trusted_proxies=trusted, anonymous_requests_per_minute=2)
    first, second = {"X-Forwarded-For": "192.0.2.1"}, {"X-Forwarded-For": "192.0.2.2"}
    with running_service(limited, tmp_path) as service, httpx.Client(trust_env=False) as client:
        url = f"{service.url}/api/v1/projects"
        statuses = [client.get(url, headers=headers).status_code for headers in (first, first, second, first)]

    assert expected == statuses
