"""Databases for tests: migrated once as a template, cloned for each worker, dropped at the end."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from sqlalchemy import URL, make_url

from tenantry.db.embedded import EmbeddedPostgres
from tenantry.db.provision import upgrade
from tenantry.db.roles import MIGRATOR_ROLE, RUNTIME_ROLE, create_database, create_roles

__all__ = ("DatabaseUrls", "TestDatabases")

UNSAFE_BUT_FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_connections": "200"}


class DatabaseUrls:
    """One database, as each of the roles."""

    def __init__(self, admin: URL, name: str) -> None:
        self.name = name
        self.admin = admin.set(database=name)
        self.runtime = self._as(RUNTIME_ROLE)
        self.migration = self._as(MIGRATOR_ROLE)

    def _as(self, role: str) -> str:
        return self.admin.set(username=role, password=None).render_as_string(hide_password=False)

    @property
    def conninfo(self) -> str:
        """For psycopg, as the administrator."""
        return conninfo(self.admin)


class TestDatabases:
    """`admin_url` names a server that trusts local roles; without one an embedded server is started in `home`."""

    __test__ = False

    def __init__(self, home: Path, run: str, admin_url: str | None) -> None:
        self.home, self.prefix, self.admin_url = home, f"tenantry_test_{run}", admin_url

    @contextmanager
    def server(self) -> Iterator[None]:
        """Keep the server up inside the block."""
        embedded = EmbeddedPostgres(self.home, settings=UNSAFE_BUT_FAST, say=lambda _: None)
        with nullcontext() if self.admin_url else embedded:
            yield

    @property
    def admin(self) -> URL:
        if self.admin_url:
            return make_url(self.admin_url).set(drivername="postgresql+psycopg")
        return make_url(EmbeddedPostgres(self.home).url(user="postgres", database="postgres"))

    @contextmanager
    def clone(self, name: str) -> Iterator[DatabaseUrls]:
        """A migrated database of one's own."""
        urls = DatabaseUrls(self.admin, f"{self.prefix}_{name}")
        with self._locked() as connection:
            self._ensure_template(connection)
            create_database(connection, urls.name, template=f"{self.prefix}_template")
        yield urls
        with self._locked() as connection:
            drop(connection, urls.name)

    @contextmanager
    def empty(self, name: str) -> Iterator[DatabaseUrls]:
        """A database without any table."""
        urls = DatabaseUrls(self.admin, f"{self.prefix}_{name}")
        with self._locked() as connection:
            create_roles(connection)
            create_database(connection, urls.name)
        yield urls
        with self._locked() as connection:
            drop(connection, urls.name)

    def drop_all(self) -> None:
        """What workers have left on a server that outlives them."""
        with psycopg.connect(conninfo(self.admin), autocommit=True) as connection:
            names = connection.execute("SELECT datname FROM pg_database WHERE starts_with(datname, %s)", [self.prefix])
            for (name,) in names.fetchall():
                drop(connection, name)

    def _ensure_template(self, connection: "psycopg.Connection[Any]") -> None:
        create_roles(connection)
        template = DatabaseUrls(self.admin, f"{self.prefix}_template")
        if create_database(connection, template.name):
            upgrade(make_url(template.migration), say=lambda _: None)

    @contextmanager
    def _locked(self) -> Iterator["psycopg.Connection[Any]"]:
        """One worker at a time: a template must not be in use while it is cloned."""
        with psycopg.connect(conninfo(self.admin), autocommit=True) as connection:
            connection.execute("SELECT pg_advisory_lock(hashtext('tenantry tests'))")
            yield connection


def conninfo(url: URL) -> str:
    return url.set(drivername="postgresql").render_as_string(hide_password=False)


def drop(connection: "psycopg.Connection[Any]", name: str) -> None:
    connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def run_name() -> str:
    """Shared by all workers of one run."""
    return os.environ["PYTEST_TENANTRY_RUN"]
