"""The database isolates every tenant's table, and whoever weakens it is seen."""

from collections.abc import Iterator
from typing import NamedTuple

import pytest
from sqlalchemy import Connection, NullPool, create_engine, text

from tenantry.db.base import BOUND_TENANT
from tenantry.testing.databases import DatabaseUrls
from tests.isolation.catalogue import TENANT_COLUMN, faults, isolated_tables, metadata_tables

TABLES = sorted(metadata_tables() | TENANT_COLUMN.keys())
OWNED = f"tenant_id = (SELECT {BOUND_TENANT})"
DROP = "DROP POLICY tenant_isolation ON {table}"
FOREIGN = "is not the platform's"


class Mutation(NamedTuple):
    statements: str
    expected: str
    """The fault that must be reported."""
    least_version: int = 0


def replaced(policy: str) -> str:
    return f"{DROP}; CREATE POLICY tenant_isolation ON {{table}} {policy}"


OF_EACH_TABLE = {
    "policy-dropped": Mutation(DROP, "{table}: has no policy tenant_isolation"),
    "policy-renamed": Mutation(
        "ALTER POLICY tenant_isolation ON {table} RENAME TO another", "{table}: has no policy tenant_isolation"
    ),
    "not-forced": Mutation(
        "ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY", "{table}: row-level security is not forced"
    ),
    "disabled": Mutation(
        "ALTER TABLE {table} DISABLE ROW LEVEL SECURITY", "{table}: row-level security is not enabled"
    ),
    "using-true": Mutation(
        "ALTER POLICY tenant_isolation ON {table} USING (true)", f"{{table}}: policy tenant_isolation {FOREIGN}"
    ),
    "check-true": Mutation(
        "ALTER POLICY tenant_isolation ON {table} WITH CHECK (true)", f"{{table}}: policy tenant_isolation {FOREIGN}"
    ),
    "without-check": Mutation(
        replaced("USING ({column} = (SELECT nullif(current_setting('app.tenant_id', true), '')::uuid))"),
        f"{{table}}: policy tenant_isolation {FOREIGN}",
    ),
    "unset-is-all": Mutation(
        "ALTER POLICY tenant_isolation ON {table}"
        " USING (coalesce(nullif(current_setting('app.tenant_id', true), '')::uuid, {column}) = {column})",
        f"{{table}}: policy tenant_isolation {FOREIGN}",
    ),
    "for-one-role": Mutation(
        "ALTER POLICY tenant_isolation ON {table} TO tenantry_owner", f"{{table}}: policy tenant_isolation {FOREIGN}"
    ),
    "opened-for-all": Mutation(
        "CREATE POLICY extra ON {table} USING (true)", "{table}: policy extra opens what is closed"
    ),
    "opened-for-reads": Mutation(
        "CREATE POLICY extra ON {table} FOR SELECT USING (true)", "{table}: policy extra opens what is closed"
    ),
    "truncate": Mutation("GRANT TRUNCATE ON {table} TO tenantry_app", "{table}: tenantry_app has TRUNCATE"),
    "references": Mutation("GRANT REFERENCES ON {table} TO tenantry_app", "{table}: tenantry_app has REFERENCES"),
    "references-of-a-column": Mutation(
        "GRANT REFERENCES ({column}) ON {table} TO tenantry_app", "{table}: tenantry_app has REFERENCES"
    ),
    "trigger": Mutation("GRANT TRIGGER ON {table} TO tenantry_app", "{table}: tenantry_app has TRIGGER"),
    "maintain": Mutation("GRANT MAINTAIN ON {table} TO tenantry_app", "{table}: tenantry_app has MAINTAIN", 170_000),
    "grant-option": Mutation(
        "GRANT SELECT ON {table} TO tenantry_app WITH GRANT OPTION", "{table}: tenantry_app may grant SELECT"
    ),
    "public": Mutation("GRANT SELECT ON {table} TO PUBLIC", "{table}: PUBLIC has SELECT"),
    "public-column": Mutation("GRANT SELECT ({column}) ON {table} TO PUBLIC", "{table}.{column}: PUBLIC has SELECT"),
    "owned": Mutation("ALTER TABLE {table} OWNER TO tenantry_app", "tenantry_app owns table {table}"),
    "view": Mutation("CREATE VIEW seen AS SELECT * FROM {table}", "seen: is a view without security_invoker"),
    "view-as-owner": Mutation(
        "CREATE VIEW seen WITH (security_invoker = off) AS SELECT * FROM {table}",
        "seen: is a view without security_invoker",
    ),
    "materialized-view": Mutation(
        "CREATE MATERIALIZED VIEW kept AS SELECT * FROM {table}; GRANT SELECT ON kept TO tenantry_app",
        "kept: tenantry_app has SELECT",
    ),
    "rule": Mutation(
        "CREATE RULE noted AS ON UPDATE TO {table} DO ALSO NOTIFY noted", "{table}: rule noted runs as the owner"
    ),
}
NOTES = "CREATE TABLE notes (tenant_id uuid NOT NULL, id uuid NOT NULL, task_id uuid, PRIMARY KEY (tenant_id, id))"
ISOLATED_NOTES = (
    f"{NOTES}; ALTER TABLE notes ENABLE ROW LEVEL SECURITY; ALTER TABLE notes FORCE ROW LEVEL SECURITY;"
    f" CREATE POLICY tenant_isolation ON notes USING ({OWNED}) WITH CHECK ({OWNED});"
    " GRANT SELECT, INSERT, UPDATE, DELETE ON notes TO tenantry_app"
)
FUNCTION = "CREATE FUNCTION peek() RETURNS bigint LANGUAGE sql"
ONCE = {
    "unforced-table": Mutation(NOTES, "notes: row-level security is not forced"),
    "table-without-policy": Mutation(NOTES, "notes: has no policy tenant_isolation"),
    "wrong-primary-key": Mutation(
        f"{ISOLATED_NOTES}; ALTER TABLE notes DROP CONSTRAINT notes_pkey, ADD PRIMARY KEY (id, tenant_id)",
        "notes: tenant_id is not first in its primary key",
    ),
    "no-primary-key": Mutation(
        f"{ISOLATED_NOTES}; ALTER TABLE notes DROP CONSTRAINT notes_pkey", "notes: has no primary key"
    ),
    "unique-constraint": Mutation(
        f"{ISOLATED_NOTES}; ALTER TABLE notes ADD CONSTRAINT one UNIQUE (task_id)",
        "notes: one is unique across tenants",
    ),
    "unique-index": Mutation(
        f"{ISOLATED_NOTES}; CREATE UNIQUE INDEX one ON notes (task_id) INCLUDE (tenant_id)",
        "notes: one is unique across tenants",
    ),
    "unique-expression": Mutation(
        f"{ISOLATED_NOTES}; CREATE UNIQUE INDEX one ON notes (lower(id::text)) WHERE task_id IS NULL",
        "notes: one is unique across tenants",
    ),
    "exclusion": Mutation(
        f"{ISOLATED_NOTES}; ALTER TABLE notes ADD CONSTRAINT one EXCLUDE USING hash (task_id WITH =)",
        "notes: one is unique across tenants",
    ),
    "foreign-key-of-one-column": Mutation(
        f"{ISOLATED_NOTES}; ALTER TABLE notes ADD CONSTRAINT own UNIQUE (id),"
        " ADD CONSTRAINT to_task FOREIGN KEY (task_id) REFERENCES notes (id)",
        "notes: to_task can point into another tenant",
    ),
    "foreign-key-crosses-columns": Mutation(
        f"{ISOLATED_NOTES}; ALTER TABLE notes ADD CONSTRAINT to_task"
        " FOREIGN KEY (task_id, tenant_id) REFERENCES notes (tenant_id, id)",
        "notes: to_task can point into another tenant",
    ),
    "granted-global": Mutation(
        "CREATE TABLE notes (id uuid); GRANT SELECT ON notes TO tenantry_app", "notes: tenantry_app has SELECT"
    ),
    "granted-column": Mutation(
        "CREATE TABLE notes (id uuid); GRANT UPDATE (id) ON notes TO tenantry_app", "notes: tenantry_app has UPDATE"
    ),
    "granted-too-much": Mutation("GRANT INSERT ON roles TO tenantry_app", "roles: tenantry_app has INSERT"),
    "exempt-table-gone": Mutation("DROP TABLE refresh_tokens", "refresh_tokens: is on the list of global tables only"),
    "model-without-column": Mutation(
        "ALTER TABLE memberships RENAME tenant_id TO owner_id", "memberships: has no tenant_id"
    ),
    "own-rows-widened": Mutation(
        "ALTER POLICY own_memberships ON memberships USING (true)",
        "memberships: policy own_memberships opens what is closed",
    ),
    "own-rows-for-writes": Mutation(
        "DROP POLICY own_memberships ON memberships; CREATE POLICY own_memberships ON memberships"
        " USING (user_id = (SELECT nullif(current_setting('app.user_id', true), '')::uuid))",
        "memberships: policy own_memberships opens what is closed",
    ),
    "view-for-writes": Mutation(
        "CREATE VIEW seen WITH (security_invoker = on) AS TABLE projects; GRANT SELECT, UPDATE ON seen TO tenantry_app",
        "seen: tenantry_app has UPDATE",
    ),
    "operators-opened-for-all": Mutation(
        "ALTER POLICY operators ON tenants TO PUBLIC", "tenants: policy operators opens what is closed"
    ),
    "operators-opened-for-the-service": Mutation(
        "ALTER POLICY operators ON tenants TO tenantry_app", "tenants: policy operators opens what is closed"
    ),
    "definer-function": Mutation(
        f"{FUNCTION} SECURITY DEFINER SET search_path = public AS 'SELECT 1'",
        "peek(): is SECURITY DEFINER",
    ),
    "function-without-path": Mutation(f"{FUNCTION} AS 'SELECT 1'", "peek(): has no fixed search_path"),
    "function-for-anyone": Mutation(f"{FUNCTION} AS 'SELECT 1'", "peek(): PUBLIC may execute it"),
    "quota-lifted": Mutation("DROP TRIGGER quota_projects ON projects", "projects: nothing keeps its quota projects"),
    "quota-disabled": Mutation(
        "ALTER TABLE api_keys DISABLE TRIGGER quota_api_keys", "api_keys: nothing keeps its quota api_keys"
    ),
    "quota-of-another": Mutation(
        "DROP TRIGGER quota_projects ON projects; CREATE TRIGGER quota_projects AFTER INSERT ON projects"
        " FOR EACH STATEMENT EXECUTE FUNCTION enforce_quota('members', 'true')",
        "projects: the trigger of its quota projects is not the platform's",
    ),
    "quota-raised": Mutation("GRANT UPDATE ON plan_quotas TO tenantry_app", "plan_quotas: tenantry_app has UPDATE"),
    "sequence": Mutation(
        "CREATE SEQUENCE counted; GRANT USAGE ON counted TO tenantry_app", "tenantry_app may use sequence counted"
    ),
    "superuser": Mutation("ALTER ROLE tenantry_app SUPERUSER", "tenantry_app is a superuser"),
    "bypassrls": Mutation("ALTER ROLE tenantry_app BYPASSRLS", "tenantry_app has BYPASSRLS"),
    "createrole": Mutation("ALTER ROLE tenantry_app CREATEROLE", "tenantry_app may make roles, databases or replicas"),
    "member-of-owner": Mutation("GRANT tenantry_owner TO tenantry_app", "tenantry_app belongs to tenantry_owner"),
    "reads-all": Mutation("GRANT pg_read_all_data TO tenantry_app", "tenantry_app belongs to pg_read_all_data"),
    "create-in-schema": Mutation(
        "GRANT CREATE ON SCHEMA public TO tenantry_app", "tenantry_app may create in schema public"
    ),
    "create-for-all": Mutation("GRANT CREATE ON SCHEMA public TO PUBLIC", "tenantry_app may create in schema public"),
    "another-schema": Mutation("CREATE SCHEMA aside", "schema aside is not looked into"),
    "default-privileges": Mutation(
        "ALTER DEFAULT PRIVILEGES FOR ROLE tenantry_owner GRANT TRUNCATE ON TABLES TO tenantry_app",
        "objects to come: tenantry_app will have TRUNCATE",
    ),
}  # fmt: skip
ON_DATABASE = {
    "create": Mutation("GRANT CREATE ON DATABASE {name} TO tenantry_app", "tenantry_app has CREATE on the database"),
    "temporary": Mutation(
        "GRANT TEMPORARY ON DATABASE {name} TO tenantry_app", "tenantry_app has TEMPORARY on the database"
    ),
    "public": Mutation("GRANT CONNECT ON DATABASE {name} TO PUBLIC", "the database: PUBLIC has CONNECT"),
}


@pytest.fixture
def connection(database_urls: DatabaseUrls) -> Iterator[Connection]:
    """An administrator in a transaction that is rolled back."""
    with create_engine(database_urls.admin, poolclass=NullPool).connect() as connection:
        yield connection
        connection.rollback()


def faults_after(connection: Connection, mutation: Mutation, **names: str) -> list[str]:
    if connection.scalar(text("SELECT current_setting('server_version_num')::int")) < mutation.least_version:
        pytest.skip("this PostgreSQL has no such privilege")
    for statement in mutation.statements.format(**names).split("; "):
        connection.exec_driver_sql(statement)
    return faults(connection)


def test_the_migrated_database_has_no_fault(connection: Connection) -> None:
    """Everything that the migrations make isolates tenants, and the runtime role can do no more than it must."""
    assert [] == faults(connection)


def test_models_and_catalogue_agree(connection: Connection) -> None:
    """The tables that have rows of tenants are those that the models call tenant-owned, and tenants."""
    assert TABLES == sorted(isolated_tables(connection))


def test_isolated_table_is_no_fault(connection: Connection) -> None:
    """What the mutations of `notes` start from is itself without fault."""
    assert [] == faults_after(connection, Mutation(ISOLATED_NOTES, ""))


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("name", OF_EACH_TABLE)
def test_each_table_is_watched(connection: Connection, table: str, name: str) -> None:
    """What weakens the isolation of any one table is reported with the table's name."""
    names = {"table": table, "column": TENANT_COLUMN.get(table, "tenant_id")}

    found = faults_after(connection, OF_EACH_TABLE[name], **names)

    assert OF_EACH_TABLE[name].expected.format(**names) in found


@pytest.mark.parametrize("name", ONCE)
def test_weakness_is_reported(connection: Connection, name: str) -> None:
    """What opens a way round isolation anywhere in the database or its roles is reported."""
    found = faults_after(connection, ONCE[name])

    assert ONCE[name].expected in found


@pytest.mark.parametrize("name", ON_DATABASE)
def test_rights_on_the_database_are_reported(connection: Connection, database_urls: DatabaseUrls, name: str) -> None:
    """The runtime role connects to the database and has no other right on it."""
    found = faults_after(connection, ON_DATABASE[name], name=database_urls.name)

    assert [ON_DATABASE[name].expected] == found
