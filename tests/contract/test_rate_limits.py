"""Who comes too often is told so, before it costs much: strangers by address, others by credential, plan and route."""

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest
from litestar import Litestar
from sqlalchemy import text

from tenantry.config import Settings
from tenantry.ids import new_id
from tenantry.plans import REQUESTS_PER_MINUTE, Plan
from tenantry.security.api_keys import new_key
from tenantry.security.permissions import Role
from tenantry.testing import Api, TenantHandle, World, asgi_client, problem
from tests.contract.redis_server import redis_server, silent_server
from tests.faults.planted import Served, package_of, serving

PACKAGE = "planted_rates"
PLUGIN = """
from datetime import timedelta

from litestar import Controller, get

from features.projects.permissions import READ
from tenantry.feature import Feature
from tenantry.http.policy import allow, public, signed_in
from tenantry.limits.rate import Rate

HOUR = timedelta(hours=1)


class LimitedController(Controller):
    path = "/limited"

    @get("/stranger", status_code=204, opt=public("a test", rate=Rate(3, HOUR)))
    async def stranger(self) -> None:
        return None

    @get("/closed", status_code=204, opt=public("a test", rate=Rate(3, HOUR, fails="closed")))
    async def closed(self) -> None:
        return None

    @get("/member", status_code=204, opt=allow(READ, rate=Rate(20, HOUR)))
    async def member(self) -> None:
        return None

    @get("/person", status_code=204, opt=signed_in(rate=Rate(2, HOUR)))
    async def person(self) -> None:
        return None


feature = Feature("planted", controllers=[LimitedController])
"""
FREE = REQUESTS_PER_MINUTE[Plan.free]


package = package_of(PACKAGE, PLUGIN)


@pytest.fixture(autouse=True)
def no_time_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """For who counts in this process: a busy machine must not let limits fill up again in the middle of a test."""
    monkeypatch.setattr("tenantry.limits.local_counter.monotonic_ns", lambda: 0)


@pytest.fixture
async def served(app: Litestar, settings: Settings, package: str) -> AsyncIterator[Served]:
    """Anew for each test, so that nothing is counted yet."""
    limited = msgspec.structs.replace(settings, anonymous_requests_per_minute=5, credential_requests_per_minute=40)
    async with serving(limited, features=package) as served:
        yield served


@pytest.fixture
async def whole(app: Litestar, settings: Settings) -> AsyncIterator[Served]:
    """All slices, and strangers limited."""
    async with serving(msgspec.structs.replace(settings, anonymous_requests_per_minute=5)) as served:
        yield served


def came_from(app: Litestar, address: str) -> Api:
    return Api(asgi_client(app, address=address))


async def put_on(tenant: TenantHandle, plan: str) -> None:
    await tenant.run(text("UPDATE tenants SET plan = :plan").bindparams(plan=plan))


async def statuses(api: Api, path: str, times: int) -> dict[int, int]:
    answers = await asyncio.gather(*(api.get(path) for _ in range(times)))
    found = [answer.status_code for answer in answers]
    return {status: found.count(status) for status in set(found)}


async def test_stranger_is_limited_by_address(whole: Served) -> None:
    """Strangers of one IPv6 network share a limit, whatever they ask for; those of another have their own."""
    first = [await came_from(whole.app, f"2001:db8::{n}").post("/auth/refresh", json={}) for n in range(5)]
    beyond = await came_from(whole.app, "2001:db8::ffff").get("//.well-known/nothing")
    refused = await came_from(whole.app, "2001:db8::ffff").get("/projects")
    other = await came_from(whole.app, "2001:db8:0:1::1").get("/projects")

    assert [422] * 5 == [each.status_code for each in first]
    assert '"address";q=5;w=60' == first[0].headers["RateLimit-Policy"]
    assert '"address";r=4;t=12' == first[0].headers["RateLimit"]
    assert 404 == beyond.status_code
    assert problem(429, "rate_limited", policy="address", limit=5) == refused
    assert ("12", '"address";r=0;t=12') == (refused.headers["Retry-After"], refused.headers["RateLimit"])
    assert 401 == other.status_code


async def test_probes_are_always_answered(whole: Served) -> None:
    """Health and metrics neither count nor are refused."""
    for path in ("//health/live", "//metrics", "//health"):
        assert {200: 10} == await statuses(whole.api, path, 10)


async def test_routes_have_rates_of_their_own(served: Served) -> None:
    """A route's rate counts strangers by address and others by who they are, and no other route's requests."""
    acme = await served.world.tenant("acme")
    owner, member = served.api.as_(acme.owner), served.api.as_(acme.member)
    strangers = [await served.api.get("/limited/stranger") for _ in range(4)]
    people = [await owner.get("/limited/person") for _ in range(3)]

    assert [204, 204, 204, 429] == [each.status_code for each in strangers]
    assert problem(429, "rate_limited", policy="planted.stranger", limit=3) == strangers[3]
    assert [204, 204, 429] == [each.status_code for each in people]
    assert problem(429, "rate_limited", policy="planted.person", limit=2) == people[2]
    assert 204 == (await member.get("/limited/person")).status_code
    assert '"credential";q=40;w=60, "planted.person";q=2;w=3600' == people[0].headers["RateLimit-Policy"]


async def test_of_parallel_requests_to_two_workers_exactly_the_rate_passes(
    app: Litestar, settings: Settings, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """200 requests at once, through two applications that share a Redis: 20 are served."""
    monkeypatch.setattr("tenantry.limits.redis_counter.TIME_LIMIT_SECONDS", 20.0)
    with redis_server() as (_, url):
        shared = msgspec.structs.replace(settings, redis_url=url)
        async with serving(shared, features=package) as one, serving(shared, features=package) as two:
            owner = (await one.world.tenant("acme")).owner
            answers = await asyncio.gather(
                *(served.api.as_(owner).get("/limited/member") for _ in range(100) for served in (one, two))
            )

    assert [204] * 20 + [429] * 180 == sorted(answer.status_code for answer in answers)


async def test_hung_redis_opens_or_closes_as_the_route_says(app: Litestar, settings: Settings, package: str) -> None:
    """Without an answer from Redis each worker counts on its own, and routes that fail closed answer 503 at once."""
    async with silent_server() as silence:
        hung = msgspec.structs.replace(settings, redis_url=silence.url)
        async with serving(hung, features=package) as served:
            opened = [await served.api.get("/limited/stranger") for _ in range(4)]
            closed = await served.api.get("/limited/closed")

    assert [204, 204, 204, 429] == [each.status_code for each in opened]
    assert problem(503, "rate_unknown") == closed
    assert "1" == closed.headers["Retry-After"]


@pytest.fixture
async def tenant(app: Litestar, settings: Settings) -> AsyncIterator[tuple[Served, TenantHandle]]:
    async with serving(settings) as served:
        yield served, await served.world.tenant("acme")


async def test_plan_limits_the_requests_of_a_tenant(tenant: tuple[Served, TenantHandle]) -> None:
    """All of a tenant together may send as many requests in a minute as its plan says; another plan lifts that soon,
    and another tenant has its own.
    """
    served, acme = tenant
    await put_on(acme, "free")
    owner, member = served.api.as_(acme.owner), served.api.as_(acme.member)
    key = served.api.bearing((await acme.key(acme.member.id, ["projects:read"])).text)
    first = await owner.get("/projects")
    counts = [await statuses(api, "/projects", FREE // 3) for api in (owner, member, key, member)]
    refused = await key.get("/projects")
    other = await served.api.as_((await served.world.tenant("globex")).owner).get("/projects")

    assert 200 == first.status_code == other.status_code
    assert FREE - 1 == sum(count.get(200, 0) for count in counts)
    assert problem(429, "plan_rate_exceeded", quota="requests_per_minute", limit=FREE, plan="free") == refused
    assert f'"tenant";q={FREE};w=60' == refused.headers["RateLimit-Policy"]


async def test_unlimited_tenant_is_asked_about_once_and_never_refused(tenant: tuple[Served, TenantHandle]) -> None:
    """No limit holds for the plan unlimited, and no answer speaks of one."""
    served, acme = tenant
    owner = served.api.as_(acme.owner)
    counts = await statuses(owner, "/projects", FREE + 10)
    answer = await owner.get("/projects")

    assert {200: FREE + 10} == counts
    assert "RateLimit" not in answer.headers


async def test_forged_keys_use_up_nothing_of_the_tenant_that_they_name(tenant: tuple[Served, TenantHandle]) -> None:
    """An API key can name any tenant: until the database agrees, it counts against nobody but its address."""
    served, acme = tenant
    await put_on(acme, "free")
    good = await acme.key(acme.member.id, ["projects:read"])
    forged = [new_key(acme.id, acme.member.id, good.id).text for _ in range(FREE + 10)]
    answers = await asyncio.gather(*(served.api.bearing(key).get("/projects") for key in forged))
    owner = await served.api.as_(acme.owner).get("/projects")
    holder = await served.api.bearing(good.text).get("/projects")

    assert {401} == {answer.status_code for answer in answers}
    assert [200, 200] == [owner.status_code, holder.status_code]


async def test_keys_that_nobody_knows_count_against_their_address(served: Served) -> None:
    """Whoever tries keys is limited as a stranger, and so is whoever sends tokens that are none."""
    acme = await served.world.tenant("acme")
    forged = [new_key(acme.id, acme.member.id, new_id()).text for _ in range(4)]
    answers = [await served.api.bearing(credential).get("/projects") for credential in [*forged, "x.y.z", "x.y.z"]]

    assert [401] * 5 + [429] == [answer.status_code for answer in answers]


async def test_key_that_is_good_counts_for_itself(served: Served) -> None:
    """A good API key counts against its address once, and from then on against its own limit alone."""
    acme = await served.world.tenant("acme")
    robot = await acme.service_account(Role.member)
    key = served.api.bearing((await acme.key(robot, ["projects:read"])).text)
    counts = await statuses(key, "/projects", 3)
    more = [await key.get("/projects") for _ in range(50)]

    assert {200: 3} == counts
    assert [200] * 37 + [429] * 13 == [answer.status_code for answer in more]
    assert problem(429, "rate_limited", policy="credential", limit=40) == more[-1]


async def test_default_is_no_limit_in_development(api: Api, world: World) -> None:
    """Where nothing is set, nothing is counted and no header speaks of limits."""
    answer = await api.get("/projects")

    assert 401 == answer.status_code
    assert "RateLimit" not in answer.headers
