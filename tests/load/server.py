"""The PostgreSQL of a run: the embedded one with the durability of production, or one that was named."""

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path

import psutil
import psycopg
from psycopg import sql

from tenantry.db.embedded import EmbeddedPostgres
from tenantry.testing.databases import DatabaseUrls, TestDatabases, conninfo
from tests.load.dataset import Connection, Size, fill
from tests.load.lineup import BYPASSING_ROLE
from tests.load.machine import pin

__all__ = ("Server", "connected", "postgres")

# fsync, synchronous_commit and full_page_writes stay on: an answer to a POST means that the row is on the disk.
EMBEDDED = {
    "shared_buffers": "512MB",
    "max_connections": "300",
    # So that neither a checkpoint nor a vacuum falls into a measurement; they run between the rounds.
    "max_wal_size": "8GB",
    "checkpoint_timeout": "1h",
    "autovacuum": "off",
    # So that bulk loads write no log.
    "wal_level": "minimal",
    "max_wal_senders": "0",
}
SHOWN = "server_version", "shared_buffers", "fsync", "synchronous_commit", "full_page_writes", "wal_level", "autovacuum"


class Server:
    def __init__(self, databases: TestDatabases, *, is_ours: bool) -> None:
        self.databases, self.is_ours = databases, is_ours

    @contextmanager
    def filled(self, name: str, size: Size, password_hash: str) -> Iterator[DatabaseUrls]:
        """A database of this size, which the role that bypasses row-level security may use."""
        with self.databases.clone(name) as urls:
            with connected(urls) as connection:
                fill(connection, size, password_hash)
                for grant in ("CONNECT ON DATABASE {database}", "ALL ON ALL TABLES IN SCHEMA public"):
                    execute(connection, f"GRANT {grant} TO {{role}}", database=urls.name)
            yield urls

    @contextmanager
    def bypassing_role(self) -> Iterator[None]:
        """There inside the block; at the end the databases go first, because it has rights in them."""
        with psycopg.connect(conninfo(self.databases.admin), autocommit=True) as connection:
            execute(connection, "DROP ROLE IF EXISTS {role}")
            execute(connection, "CREATE ROLE {role} LOGIN BYPASSRLS")
            # As the service's question says of its tenants: their quotas' triggers do nothing.
            execute(connection, "ALTER ROLE {role} SET app.plan = 'unlimited'")
        try:
            yield
        finally:
            self.databases.drop_all()
            with psycopg.connect(conninfo(self.databases.admin), autocommit=True) as connection:
                execute(connection, "DROP ROLE {role}")

    @property
    def pid(self) -> int | None:
        """Of the server's first process; None for one that is not ours: it may serve others, or run elsewhere."""
        if not self.is_ours:
            return None
        with psycopg.connect(conninfo(self.databases.admin)) as connection:
            return int(psutil.Process(connection.info.backend_pid).ppid())

    def pin(self, cores: frozenset[int]) -> None:
        if self.pid is not None:
            pin(self.pid, cores)

    def facts(self) -> dict[str, str]:
        statement = "SELECT name, current_setting(name) FROM pg_settings WHERE name = ANY(%s)"
        with psycopg.connect(conninfo(self.databases.admin)) as connection:
            return {str(name): str(value) for name, value in connection.execute(statement, [list(SHOWN)])}


@contextmanager
def postgres(home: Path, admin_url: str | None, overrides: Mapping[str, str]) -> Iterator[Server]:
    """`admin_url` names a server that trusts local roles; else one is started in `home`, and stopped at the end."""
    embedded = EmbeddedPostgres(home, settings={**EMBEDDED, **overrides}, say=lambda _: None)
    with nullcontext() if admin_url else embedded:
        url = admin_url or embedded.url(user="postgres", database="postgres")
        server = Server(TestDatabases(home, secrets.token_hex(4), url), is_ours=not admin_url)
        with server.bypassing_role():
            yield server


@contextmanager
def connected(urls: DatabaseUrls) -> Iterator[Connection]:
    """As the administrator."""
    with psycopg.connect(urls.conninfo, autocommit=True) as connection:
        yield connection


def execute(connection: Connection, statement: str, database: str = "") -> None:
    names = {"role": sql.Identifier(BYPASSING_ROLE), "database": sql.Identifier(database)}
    connection.execute(sql.SQL(statement).format(**names))
