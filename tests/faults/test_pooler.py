"""PgBouncer in transaction mode stands before the database: nothing of a request may stay in a connection.

It is a program of its own, which a machine may lack; then these tests are skipped.
"""

import asyncio
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import psycopg
import pytest
from litestar import Litestar
from psycopg import AsyncConnection
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from sqlalchemy import make_url
from structlog.testing import capture_logs

from features.projects.tests.factories import ProjectFactory
from tenantry.config import Settings
from tenantry.testing import TenantHandle, problem
from tenantry.testing.databases import DatabaseUrls, TestDatabases
from tenantry.testing.service import free_port
from tests.faults.naps import napping, plant_naps, timed
from tests.faults.planted import Served

SERVERS = 5
SLACK = 0.7
"""Seconds that a busy machine may add to any answer."""
PROGRAM = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
CONFIGURATION = """
[databases]
* = {target}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {folder}/users
admin_users = postgres
pool_mode = transaction
default_pool_size = {servers}
"""
# What a request could leave behind in a connection.
LEFT = """
SELECT pg_backend_pid(), nullif(current_setting('app.tenant_id', true), ''),
       nullif(current_setting('app.user_id', true), ''),
       current_setting('statement_timeout'), current_setting('lock_timeout'),
       (SELECT count(*) FROM pg_prepared_statements)
"""
CLEAN = (None, None, "1min", "0", 0)
"""No tenant, no user, the timeouts of the role, and no prepared statement."""

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="needs the program pgbouncer (Debian: apt install pgbouncer)")


class Pooler:
    def __init__(self, folder: Path, urls: DatabaseUrls) -> None:
        self.port, self._folder, self._urls = free_port(), folder, urls
        server = conninfo_to_dict(urls.conninfo)
        # It refuses root; and where the server listens on a socket of its user alone, it has to be that user.
        nobody = pwd.getpwnam("nobody")
        host = str(server.get("host") or "127.0.0.1")
        owner = Path(host).stat() if host.startswith("/") else None
        self._account = (owner.st_uid, owner.st_gid) if owner else (nobody.pw_uid, nobody.pw_gid)
        target = f"host={host} port={server.get('port', 5432)}"
        text = CONFIGURATION.format(target=target, port=self.port, folder=folder, servers=SERVERS)
        (folder / "pgbouncer.ini").write_text(text)
        (folder / "users").write_text('"tenantry_app" ""\n"postgres" ""\n')
        folder.chmod(0o755)

    @property
    def url(self) -> str:
        """Of the database, as the service's role, through the pooler."""
        url = make_url(self._urls.runtime).set(host="127.0.0.1", port=self.port, query={})
        return url.render_as_string(hide_password=False)

    def conninfo(self, *, user: str = "tenantry_app", database: str | None = None) -> str:
        return make_conninfo(host="127.0.0.1", port=self.port, user=user, dbname=database or self._urls.name)

    def start(self) -> None:
        user, group = self._account if os.geteuid() == 0 else (None, None)
        self._process = subprocess.Popen(
            [str(PROGRAM), "-q", str(self._folder / "pgbouncer.ini")],
            user=user, group=group, extra_groups=None if user is None else [],
            cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        deadline = monotonic() + 10
        while True:
            try:
                self.command("SHOW VERSION")
                return
            except psycopg.OperationalError:
                if monotonic() > deadline or self._process.poll() is not None:
                    raise
                sleep(0.02)

    def stop(self) -> None:
        """At once, whatever is under way."""
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(10)

    def command(self, command: str) -> None:
        """For its console."""
        with psycopg.connect(self.conninfo(user="postgres", database="pgbouncer"), autocommit=True) as console:
            console.pgconn.exec_(command.encode())

    async def left(self) -> list[tuple[Any, ...]]:
        """What each of the server's connections holds; all of them, for as many transactions are open at once."""
        open_together = asyncio.Barrier(SERVERS)

        async def ask() -> tuple[Any, ...]:
            async with await AsyncConnection.connect(self.conninfo(), prepare_threshold=None) as connection:
                row = await (await connection.execute(LEFT)).fetchone()
                await open_together.wait()
            assert row is not None
            return row

        rows = await asyncio.gather(*(ask() for _ in range(SERVERS)))
        assert len({row[0] for row in rows}) == SERVERS
        return [row[1:] for row in rows]


@contextmanager
def running(urls: DatabaseUrls) -> Iterator[Pooler]:
    with tempfile.TemporaryDirectory(prefix="pooler-") as folder:
        pooler = Pooler(Path(folder), urls)
        try:
            pooler.start()
            yield pooler
        finally:
            pooler.stop()


@pytest.fixture(scope="module")
def urls(app: Litestar, databases: TestDatabases, worker_id: str) -> Iterator[DatabaseUrls]:
    with databases.clone(f"pooler_{worker_id}") as urls:
        plant_naps(urls)
        yield urls


@pytest.fixture(scope="module")
def pooler(urls: DatabaseUrls) -> Iterator[Pooler]:
    with running(urls) as pooler:
        yield pooler


@pytest.fixture(params=["fast", "session"])
async def served(
    request: pytest.FixtureRequest, urls: DatabaseUrls, pooler: Pooler, settings: Settings, tmp_path: Path
) -> AsyncIterator[Served]:
    """More connections to the pooler than it has to the server."""
    behind: dict[str, Any] = {
        "database_url": pooler.url,
        "database_transaction_pooler": True,
        "database_fast_lane": request.param == "fast",
        "database_lane_connections": 4,
        "database_pool_size": 4,
        "database_timeout_seconds": 1.5,
    }
    async with napping(settings, urls, tmp_path, **behind) as served:
        yield served


async def visit(served: Served, tenant: TenantHandle, foreign: str, number: int) -> tuple[list[int], set[str]]:
    """The statuses of everything that one does with a project, and whose projects were seen."""
    api = served.api.as_(tenant.member)
    created = await api.post("/projects", json={"name": f"{tenant.slug} {number}"})
    path = f"/projects/{created.json().get('id')}"
    answers = [
        created,
        seen := await api.get(path),
        listed := await api.get("/projects?limit=100&include_total=true"),
        await api.patch(path, json={"description": "d"}),
        await api.post(f"{path}/archive"),
        await api.get(f"/projects/{foreign}"),
        await api.delete(f"/projects/{foreign}"),
        await served.api.as_(tenant.viewer).post("/projects", json={"name": "x"}),
        await api.post("/projects", json={"name": f"{tenant.slug} {number}"}),
        await served.api.get("/projects"),
    ]
    names = [item["name"] for item in (seen.json(), *listed.json().get("items", ())) if "name" in item]
    return [each.status_code for each in answers], {name.split()[0] for name in names}


async def test_several_tenants_at_once(served: Served, pooler: Pooler, request: pytest.FixtureRequest) -> None:
    """Each sees its own and nothing else, on the lane that was asked for, and no connection keeps anything of it."""
    tenants = [await served.world.tenant(f"t{n}") for n in range(4)] * 12
    foreign = str((await (await served.world.tenant()).has(ProjectFactory)).id)
    with capture_logs() as logs:
        visits = await asyncio.gather(*(visit(served, tenant, foreign, n) for n, tenant in enumerate(tenants)))
    lanes = Counter(log.get("lane") for log in logs if log["event"] == "request" and log["status"] < 400)

    assert [[201, 200, 200, 200, 200, 404, 404, 403, 409, 401]] * 48 == [statuses for statuses, _ in visits]
    assert [{tenant.slug} for tenant in tenants] == [owners for _, owners in visits]
    assert [CLEAN] * SERVERS == await pooler.left()
    # Of every five, one asks for a total, which any number of rows may have to be read for.
    assert lanes[request.node.callspec.params["served"]] > 0.7 * lanes.total(), lanes


async def test_limits_hold(served: Served, pooler: Pooler) -> None:
    """A statement is given as long as the lane, then the session allows; the limits stay in no connection."""
    api = served.api.as_((await served.world.tenant()).member)
    slow = await timed(api.get("/naps/1200"))
    slower = await timed(api.get("/naps/5000"))

    assert (200, [1200]) == (slow.status, slow.answer.json())
    assert problem(503, "statement_timeout") == slower.answer
    assert slower.seconds < 1 + 1.5 + SLACK
    assert [CLEAN] * SERVERS == await pooler.left()


async def test_locked_row_holds_up_nobody_else(served: Served, urls: DatabaseUrls) -> None:
    """Who writes a row that somebody else has locked waits for it, and the others do not wait with them."""
    tenant = await served.world.tenant()
    project = await tenant.has(ProjectFactory)
    api = served.api.as_(tenant.member)
    async with await AsyncConnection.connect(urls.conninfo) as other:
        await other.execute("SELECT 1 FROM projects WHERE id = %s FOR UPDATE", [project.id])
        write = asyncio.create_task(timed(api.patch(f"/projects/{project.id}", json={"name": "Gemini"})))
        await asyncio.sleep(0.3)
        others = await asyncio.gather(*(timed(api.get("/projects?limit=1")) for _ in range(10)))
        waited = not write.done()
    written = await write

    assert [200] * 10 == [each.status for each in others]
    assert max(each.seconds for each in others) < SLACK
    assert (True, 200, "Gemini") == (waited, written.status, written.answer.json()["name"])


async def test_restart_of_the_pooler(served: Served, pooler: Pooler) -> None:
    """While it is away the answer is 503; once it is back, so is the service."""
    api = served.api.as_((await served.world.tenant()).member)
    before = await asyncio.gather(*(api.get("/projects?limit=1") for _ in range(20)))
    pooler.stop()
    away = await asyncio.gather(*(api.get("/projects?limit=1") for _ in range(20)))
    pooler.start()
    for _ in range(100):
        if (back := await api.get("/projects?limit=1")).is_success:
            break
        await asyncio.sleep(0.05)
    after = await asyncio.gather(*(api.get("/projects?limit=1") for _ in range(20)))

    assert [200] * 20 == [each.status_code for each in before]
    assert [problem(503, "database_unavailable")] * 20 == away
    assert [200] * 21 == [each.status_code for each in (back, *after)]


async def test_binding_that_stays_is_found(pooler: Pooler) -> None:
    """The tests above can fail: what is bound for longer than a transaction is seen in a later one."""
    async with await AsyncConnection.connect(pooler.conninfo(), prepare_threshold=None) as connection:
        await connection.execute("SELECT set_config('app.tenant_id', 'acme', false)")
    found = await pooler.left()
    pooler.command("RECONNECT")

    assert 1 == [row[0] for row in found].count("acme")
    assert [CLEAN] * SERVERS == await pooler.left()
