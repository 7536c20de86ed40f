"""What the databases hold: tenants with one account each, and their projects, loaded in bulk.

Rows of different tenants lie beside each other in the table, in the order of their creation, as they do where
tenants work at the same time.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import cast
from uuid import UUID

import msgspec
import psycopg

__all__ = ("PAGE", "PASSWORD", "Connection", "Member", "Size", "fill", "members", "page_before", "project_ids",
           "row_count")  # fmt: skip

PASSWORD = "correct horse battery staple"
PAGE = 50
TENANT, USER, SESSION, MEMBERSHIP = 1, 2, 3, 4
EVERY_NTH_IS_THE_BIG_TENANTS = 20

# An id of each kind from a number; `Member` computes the same.
NUMBERED = "('0000000{kind}-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid"
ACCOUNTS = f"""
    INSERT INTO tenants (id, name, slug, status, plan, settings, created_at, updated_at)
    SELECT {NUMBERED.format(kind=TENANT)}, 'Tenant ' || n, 'tenant-' || n, 'active', 'unlimited', '{{}}', now(), now()
    FROM generate_series(0, %(last)s) n;
    INSERT INTO users (id, email, name, password_hash, created_at, updated_at)
    SELECT {NUMBERED.format(kind=USER)}, 'user-' || n || '@example.com', 'User ' || n, %(password_hash)s, now(), now()
    FROM generate_series(0, %(last)s) n;
    INSERT INTO sessions (id, user_id, tenant_id, user_agent, created_at, last_used_at, expires_at, ends_at)
    SELECT {NUMBERED.format(kind=SESSION)}, {NUMBERED.format(kind=USER)}, {NUMBERED.format(kind=TENANT)},
           'benchmark', now(), now(), now() + interval '1 day', now() + interval '1 day'
    FROM generate_series(0, %(last)s) n;
    INSERT INTO memberships (tenant_id, id, user_id, role, created_at, updated_at)
    SELECT {NUMBERED.format(kind=TENANT)}, {NUMBERED.format(kind=MEMBERSHIP)}, {NUMBERED.format(kind=USER)},
           'owner', now(), now()
    FROM generate_series(0, %(last)s) n;
"""  # noqa: S608 -- constants
PROJECTS = f"""
    INSERT INTO projects (tenant_id, id, name, description, archived_at, created_at, updated_at)
    SELECT {NUMBERED.format(kind=TENANT)},
           (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7' || substr(noise, 1, 3) || '8'
            || substr(noise, 4, 15))::uuid,
           'Project ' || i, 'What has to be done by whom until when, and what for, is said here. ' || i,
           CASE WHEN (i / %(tenants)s) %% 10 = 5 THEN at END, at, at
    FROM (
        SELECT i, md5(i::text) AS noise, now() - (%(rows)s - i) * interval '6 seconds' AS at,
               CASE WHEN %(big)s AND i %% {EVERY_NTH_IS_THE_BIG_TENANTS} = 0 THEN 0
                    WHEN %(big)s THEN (i - i / {EVERY_NTH_IS_THE_BIG_TENANTS} - 1) %% %(tenants)s
                    ELSE i %% %(tenants)s END AS n
        FROM generate_series(1, %(rows)s) i
    ) numbered
"""  # noqa: S608 -- constants
INDEXES = """
    SELECT format('ALTER TABLE projects DROP CONSTRAINT %I CASCADE', conname),
           format('ALTER TABLE projects ADD CONSTRAINT %I %s', conname, pg_get_constraintdef(oid))
    FROM pg_constraint WHERE conrelid = 'projects'::regclass AND contype IN ('p', 'u')
    UNION ALL
    SELECT format('DROP INDEX %I', indexname), indexdef FROM pg_indexes WHERE tablename = 'projects'
    AND indexname NOT IN (SELECT conname FROM pg_constraint WHERE conrelid = 'projects'::regclass)
"""
SAMPLE = """
    SELECT sampled.tenant, found.id FROM unnest(%s::uuid[]) AS sampled (tenant),
    LATERAL (SELECT id FROM projects WHERE tenant_id = sampled.tenant AND archived_at IS NULL
             ORDER BY created_at DESC, id LIMIT %s) found
"""
Connection = psycopg.Connection[tuple[object, ...]]


class Size(msgspec.Struct, frozen=True):
    tenants: int
    rows: int
    has_big_tenant: bool = False
    """Whether every twentieth row belongs to tenant 0."""

    def says(self) -> str:
        return f"{self.rows:,} rows of {self.tenants:,} tenants"


class Member(msgspec.Struct, frozen=True):
    """The one account of a tenant, its owner."""

    number: int

    @property
    def tenant_id(self) -> UUID:
        return self._id(TENANT)

    @property
    def user_id(self) -> UUID:
        return self._id(USER)

    @property
    def session_id(self) -> UUID:
        return self._id(SESSION)

    @property
    def membership_id(self) -> UUID:
        return self._id(MEMBERSHIP)

    @property
    def email(self) -> str:
        return f"user-{self.number}@example.com"

    def _id(self, kind: int) -> UUID:
        return UUID(f"{kind:08x}-0000-7000-8000-{self.number:012x}")


def members(numbers: Iterable[int]) -> list[Member]:
    return [Member(number) for number in numbers]


def fill(connection: Connection, size: Size, password_hash: str) -> None:
    """As a superuser, who is above row-level security."""
    for statement in ACCOUNTS.split(";")[:-1]:
        given = {"last": size.tenants - 1, "password_hash": password_hash}
        connection.execute(statement.encode(), {k: v for k, v in given.items() if f"%({k})s" in statement})
    with connection.transaction(), without_indexes(connection):
        connection.execute(PROJECTS.encode(), {"rows": size.rows, "tenants": size.tenants, "big": size.has_big_tenant})
    connection.execute("VACUUM (FREEZE, ANALYZE)")


@contextmanager
def without_indexes(connection: Connection) -> Iterator[None]:
    """An empty table inside the block; its indexes are built at the end.

    The table is new in its transaction, so that a server with `wal_level=minimal` writes no log of the load, and
    foreign keys are not checked row by row.
    """
    for setting in ("session_replication_role = replica", "maintenance_work_mem = '1GB'", "statement_timeout = 0"):
        connection.execute(f"SET LOCAL {setting}".encode())
    indexes = connection.execute(INDEXES).fetchall()
    connection.execute("TRUNCATE projects CASCADE")
    for drop, _ in indexes:
        connection.execute(str(drop).encode())
    yield
    for _, create in indexes:
        connection.execute(str(create).encode())


def page_before(connection: Connection, member: Member, page: int, sort: str) -> tuple[object, UUID]:
    """Where the page before this one ends, in the order of the list; found with an offset, once."""
    field, direction = sort.removeprefix("-"), "DESC" if sort.startswith("-") else "ASC"
    order = f"{field} {direction}, id {direction}"
    statement = f"SELECT {field}, id FROM projects WHERE tenant_id = %s ORDER BY {order} LIMIT 1 OFFSET %s"  # noqa: S608 -- names from the code
    row = connection.execute(statement.encode(), [member.tenant_id, (page - 1) * PAGE - 1]).fetchone()
    assert row is not None
    return cast("tuple[object, UUID]", row)


def row_count(connection: Connection, member: Member) -> int:
    row = connection.execute("SELECT count(*) FROM projects WHERE tenant_id = %s", [member.tenant_id]).fetchone()
    assert row is not None
    return cast("int", row[0])


def project_ids(connection: Connection, of: Sequence[Member], each: int) -> dict[Member, list[UUID]]:
    """The newest projects of each that are not archived."""
    found: dict[Member, list[UUID]] = {member: [] for member in of}
    by_tenant = {member.tenant_id: member for member in of}
    for tenant_id, id in connection.execute(SAMPLE, [list(by_tenant), each]):
        found[by_tenant[cast("UUID", tenant_id)]].append(cast("UUID", id))
    return found
