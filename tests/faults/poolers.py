"""PgBouncer before a database of the tests.

It is a program of its own, which a machine may lack; then its tests are skipped. The variable `PGBOUNCER` names one, or
several versions with colons between them, and each test runs on all.
"""

import asyncio
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import psycopg
import pytest
from psycopg import AsyncConnection
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from sqlalchemy import make_url

from tenantry.testing.databases import DatabaseUrls
from tenantry.testing.service import free_port

__all__ = ("CLEAN", "LEFT", "PROGRAMS", "SERVERS", "Pooler", "running")

SERVERS = 5
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
pool_mode = {mode}
default_pool_size = {servers}
server_round_robin = 1
"""
# What a request could leave behind in a connection.
LEFT = """
SELECT pg_backend_pid(), nullif(current_setting('app.tenant_id', true), ''),
       nullif(current_setting('app.user_id', true), ''),
       current_setting('statement_timeout'), current_setting('lock_timeout'),
       (SELECT count(*) FROM pg_prepared_statements WHERE name NOT LIKE 'PGBOUNCER%')
"""
CLEAN = (None, None, "1min", "0", 0)
"""No tenant, no user, the timeouts of the role, and no prepared statement but the pooler's own."""


class Pooler:
    def __init__(self, program: str, folder: Path, urls: DatabaseUrls, mode: str) -> None:
        self.port, self._program, self._folder, self._urls = free_port(), program, folder, urls
        server = conninfo_to_dict(urls.conninfo)
        # It refuses root; and where the server listens on a socket of its user alone, it has to be that user.
        nobody = pwd.getpwnam("nobody")
        host = str(server.get("host") or "127.0.0.1")
        owner = Path(host).stat() if host.startswith("/") else None
        self._account = (owner.st_uid, owner.st_gid) if owner else (nobody.pw_uid, nobody.pw_gid)
        target = f"host={host} port={server.get('port', 5432)}"
        # In session mode each client keeps one.
        servers = SERVERS if mode == "transaction" else 50
        text = CONFIGURATION.format(target=target, port=self.port, folder=folder, mode=mode, servers=servers)
        (folder / "pgbouncer.ini").write_text(text)
        (folder / "users").write_text('"tenantry_app" ""\n"postgres" ""\n')
        folder.chmod(0o755)

    @property
    def manages_statements(self) -> bool:
        version = _version(self._program).removeprefix("PgBouncer ").split(".")
        return [int(number) for number in version[:2]] >= [1, 21]

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
            [self._program, "-q", str(self._folder / "pgbouncer.ini")],
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
        """At once, whatever is under way; from 1.23 on SIGTERM would wait for the clients."""
        self._process.kill()
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
def running(program: str, urls: DatabaseUrls, mode: str = "transaction") -> Iterator[Pooler]:
    with tempfile.TemporaryDirectory(prefix="pooler-") as folder:
        pooler = Pooler(program, Path(folder), urls, mode)
        try:
            pooler.start()
            yield pooler
        finally:
            pooler.stop()


def _programs() -> list[Any]:
    named = os.environ.get("PGBOUNCER")
    found = named or shutil.which("pgbouncer", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
    if not found:
        reason = "needs the program pgbouncer (Debian: apt install pgbouncer), or PGBOUNCER that names it"
        return [pytest.param(None, marks=pytest.mark.skip(reason=reason), id="none")]
    return [pytest.param(program, id=_version(program)) for program in found.split(os.pathsep)]


def _version(program: str) -> str:
    """`PgBouncer 1.24.1`"""
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    return said.splitlines()[0]


PROGRAMS = _programs()
"""For parameters of fixtures and tests."""
