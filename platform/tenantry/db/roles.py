"""The three database roles, and the refusal to run on one that could look past row-level security.

owner      cannot log in; owns every table
migrator   logs in for migrations only, and acts as the owner
app        the service: owns nothing, no superuser, NOBYPASSRLS
"""

from collections.abc import Iterable
from typing import LiteralString

import psycopg
from psycopg import sql

__all__ = (
    "MIGRATOR_ROLE",
    "OWNER_ROLE",
    "ROLE_QUERY",
    "RUNTIME_ROLE",
    "UnsafeRole",
    "create_database",
    "create_roles",
    "faults_of_role",
    "refuse_unsafe",
)

OWNER_ROLE = "tenantry_owner"
MIGRATOR_ROLE = "tenantry_migrator"
RUNTIME_ROLE = "tenantry_app"

# Who only acts as a harmless role could stop acting, so the role that logged in counts as well.
ROLE_QUERY: LiteralString = """
    SELECT r.rolname,
           EXISTS (SELECT FROM pg_roles o WHERE o.rolsuper AND pg_has_role(r.oid, o.oid, 'MEMBER')),
           EXISTS (SELECT FROM pg_roles o WHERE o.rolbypassrls AND pg_has_role(r.oid, o.oid, 'MEMBER')),
           EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                   WHERE c.relkind IN ('r', 'p') AND n.nspname = 'public' AND pg_has_role(r.oid, c.relowner, 'MEMBER'))
           OR EXISTS (SELECT FROM pg_roles o WHERE o.rolname = 'tenantry_owner' AND pg_has_role(r.oid, o.oid, 'MEMBER'))
    FROM pg_roles r WHERE r.rolname IN (session_user, current_user)
"""


class UnsafeRole(Exception):
    """The service is connected as a role that row-level security does not hold."""


def faults_of_role(name: str, superuser: bool, bypasses: bool, owns_tables: bool) -> list[str]:
    """What is wrong with a role as the service's own, each with its remedy."""
    faults = []
    if superuser:
        faults.append(
            f"{name} is a superuser or can become one; fix: connect as {RUNTIME_ROLE}, or ALTER ROLE {name} NOSUPERUSER"
        )
    if bypasses and not superuser:
        faults.append(
            f"{name} has BYPASSRLS or can get it; fix: connect as {RUNTIME_ROLE}, or ALTER ROLE {name} NOBYPASSRLS"
        )
    if owns_tables and not superuser:
        faults.append(f"{name} owns tables or belongs to their owner; fix: connect as {RUNTIME_ROLE}")
    return faults


def refuse_unsafe(rows: Iterable[tuple[str, bool, bool, bool]]) -> None:
    """`rows` is the answer to `ROLE_QUERY`; raises `UnsafeRole` with everything that is wrong."""
    if faults := [fault for row in rows for fault in faults_of_role(*row)]:
        raise UnsafeRole("; ".join(faults))


def create_roles(connection: "psycopg.Connection[tuple[object, ...]]", passwords: dict[str, str] | None = None) -> None:
    """Create what is missing of the three roles; `connection` is an administrator's.

    `passwords` maps a role to the password to set; without one a role can log in only where the server trusts it.
    """
    existing = {row[0] for row in connection.execute("SELECT rolname FROM pg_roles")}
    login: dict[str, LiteralString] = {OWNER_ROLE: "NOLOGIN", MIGRATOR_ROLE: "LOGIN", RUNTIME_ROLE: "LOGIN"}
    for role, may_log_in in login.items():
        if role not in existing:
            connection.execute(
                sql.SQL("CREATE ROLE {} " + may_log_in + " NOSUPERUSER NOBYPASSRLS NOCREATEROLE NOCREATEDB").format(
                    sql.Identifier(role)
                )
            )
    connection.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(OWNER_ROLE), sql.Identifier(MIGRATOR_ROLE)))
    for setting, value in (("statement_timeout", "60s"), ("idle_in_transaction_session_timeout", "60s")):
        connection.execute(
            sql.SQL("ALTER ROLE {} SET {} = {}").format(
                sql.Identifier(RUNTIME_ROLE), sql.Identifier(setting), sql.Literal(value)
            )
        )
    for role, password in (passwords or {}).items():
        connection.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(role), sql.Literal(password)))


def create_database(
    connection: "psycopg.Connection[tuple[object, ...]]", name: str, template: str | None = None
) -> bool:
    """Create the database, owned by the owner role, unless it exists; `connection` must be in autocommit."""
    if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
        return False
    # An administrator of a managed server is no superuser, so must belong to the role it gives the database to.
    connection.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(sql.Identifier(OWNER_ROLE)))
    statement = sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(name), sql.Identifier(OWNER_ROLE))
    if template:
        statement += sql.SQL(" TEMPLATE {}").format(sql.Identifier(template))
    connection.execute(statement)
    connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(name)))
    connection.execute(
        sql.SQL("GRANT CONNECT ON DATABASE {} TO {}, {}").format(
            sql.Identifier(name), sql.Identifier(MIGRATOR_ROLE), sql.Identifier(RUNTIME_ROLE)
        )
    )
    return True
