"""What PostgreSQL's own catalogue says of isolation. Tables are found there; only exceptions are written here."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from sqlalchemy import Connection, text

from tenantry.db.base import BOUND_USER, Base
from tenantry.db.rls import POLICY, AllowReads, EnableTenantRls, is_tenant_owned
from tenantry.db.roles import OWNER_ROLE, RUNTIME_ROLE
from tenantry.feature import slice_modules
from tests.isolation.global_tables import GLOBAL
from tests.isolation.quota_triggers import quota_faults

__all__ = ("GLOBAL", "READ_POLICIES", "faults", "isolated_tables", "metadata_tables")


class ReadPolicy(NamedTuple):
    using: str
    reason: str
    role: str = "PUBLIC"


OWN_ROWS = f"user_id = (SELECT {BOUND_USER})"
READ_POLICIES = {
    ("memberships", "own_memberships"): ReadPolicy(OWN_ROWS, "people see which tenants they belong to"),
    ("idempotency_keys", "own_answers"): ReadPolicy(
        OWN_ROWS.replace("user_id", "subject_id", 1), "people get their answers again where no tenant is asked for"
    ),
    ("tenants", "own_tenants"): ReadPolicy(
        f"id IN (SELECT tenant_id FROM memberships WHERE {OWN_ROWS})",  # noqa: S608 -- a constant
        "people see the tenants that they belong to",
    ),
    ("tenants", "operators"): ReadPolicy(
        "true",
        "operators' commands find tenants; the owner, which no service acts as, could lift the policies",
        OWNER_ROLE,
    ),
}
DEFINER_FUNCTIONS: dict[str, str] = {}
"""Functions that may run with their owner's rights, each with its reason."""

TENANT_COLUMN = {"tenants": "id"}
OWNED_VERBS = frozenset({"SELECT", "INSERT", "UPDATE", "DELETE"})
VERBS = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER")
COLUMN_VERBS = ("SELECT", "INSERT", "UPDATE", "REFERENCES")
SCRATCH = "scratch_of_the_catalogue_proof"

TABLES = """
    SELECT c.relname AS name, c.relkind AS kind, c.relrowsecurity AS enabled, c.relforcerowsecurity AS forced,
           EXISTS (SELECT FROM pg_attribute a
                   WHERE a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped) AS has_tenant
    FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'f', 'v', 'm', 'S')
    ORDER BY c.relname
"""
POLICIES = """
    SELECT p.polrelid::regclass::text AS table, p.polname AS name, p.polpermissive AS permissive,
           p.polcmd::text AS command, p.polroles::regrole[]::text AS roles, pg_get_expr(p.polqual, p.polrelid) AS using,
           pg_get_expr(p.polwithcheck, p.polrelid) AS checked
    FROM pg_policy p ORDER BY 1, 2
"""
KEYS = """
    SELECT c.relname AS table, i.indexrelid::regclass::text AS name, i.indisprimary AS is_primary,
           (SELECT array_agg(a.attname::text ORDER BY k.n)
            FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS k(number, n)
            LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.number AND k.number > 0
            WHERE k.n <= i.indnkeyatts) AS columns
    FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
    WHERE c.relnamespace = 'public'::regnamespace AND (i.indisunique OR i.indisexclusion)
    ORDER BY 1, 2
"""
REFERENCES = """
    SELECT k.conname AS name, c.relname AS table, t.relname AS target,
           EXISTS (SELECT FROM unnest(k.conkey, k.confkey) AS pair(here, there)
                   JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = pair.here
                   JOIN pg_attribute b ON b.attrelid = k.confrelid AND b.attnum = pair.there
                   WHERE a.attname = 'tenant_id' AND b.attname = 'tenant_id') AS carries_tenant
    FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_class t ON t.oid = k.confrelid
    WHERE k.contype = 'f' AND c.relnamespace = 'public'::regnamespace ORDER BY 1
"""
PRIVILEGES = """
    SELECT c.relname AS table, c.relkind AS kind, v.verb,
           v.verb = ANY(:column_verbs) AND has_any_column_privilege(:role, c.oid, v.verb || ' WITH GRANT OPTION')
           OR has_table_privilege(:role, c.oid, v.verb || ' WITH GRANT OPTION') AS may_grant
    FROM pg_class c, unnest(CAST(:verbs AS text[])) AS v(verb)
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'f', 'v', 'm')
      AND (has_table_privilege(:role, c.oid, v.verb)
           OR v.verb = ANY(:column_verbs) AND has_any_column_privilege(:role, c.oid, v.verb))
    ORDER BY 1, 3
"""
PLAIN_VIEWS = """
    SELECT c.relname FROM pg_class c
    WHERE c.relkind = 'v' AND c.relnamespace = 'public'::regnamespace
      AND NOT EXISTS (SELECT FROM pg_options_to_table(c.reloptions) o
                      WHERE o.option_name = 'security_invoker' AND o.option_value::boolean)
"""
FUNCTIONS = """
    SELECT p.oid::regprocedure::text AS signature, p.proname AS name, p.prosecdef AS definer,
           p.prokind <> 'a' AND NOT EXISTS (
               SELECT FROM unnest(p.proconfig) s WHERE s LIKE 'search_path=%') AS searches_anywhere,
           EXISTS (SELECT FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
                   WHERE a.grantee = 0) AS for_anyone
    FROM pg_proc p WHERE p.pronamespace = 'public'::regnamespace
      AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')
"""
# Each answers whole sentences.
SENTENCES = r"""
    SELECT rolname || ' is a superuser' FROM pg_roles WHERE rolname = :role AND rolsuper;

    SELECT rolname || ' has BYPASSRLS' FROM pg_roles WHERE rolname = :role AND rolbypassrls;

    SELECT rolname || ' may make roles, databases or replicas' FROM pg_roles
    WHERE rolname = :role AND (rolcreaterole OR rolcreatedb OR rolreplication);

    SELECT :role || ' belongs to ' || roleid::regrole FROM pg_auth_members WHERE member = CAST(:role AS regrole);

    SELECT :role || ' owns ' || pg_describe_object(classid, objid, objsubid) FROM pg_shdepend
    WHERE refclassid = 'pg_authid'::regclass AND refobjid = CAST(:role AS regrole) AND deptype = 'o'
      AND dbid IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()));

    SELECT :role || ' may create in schema ' || nspname FROM pg_namespace
    WHERE has_schema_privilege(:role, oid, 'CREATE') AND nspname NOT LIKE 'pg\_%temp\_%';

    SELECT :role || ' has ' || verb || ' on the database' FROM unnest(ARRAY['CREATE', 'TEMPORARY']) verb
    WHERE has_database_privilege(:role, current_database(), verb);

    SELECT :role || ' may use sequence ' || relname FROM pg_class, unnest(ARRAY['USAGE', 'SELECT', 'UPDATE']) verb
    WHERE relnamespace = 'public'::regnamespace AND relkind = 'S' AND has_sequence_privilege(:role, pg_class.oid, verb);

    SELECT relname || ': PUBLIC has ' || a.privilege_type FROM pg_class, aclexplode(relacl) a
    WHERE a.grantee = 0 AND relnamespace = 'public'::regnamespace;

    SELECT attrelid::regclass || '.' || attname || ': PUBLIC has ' || a.privilege_type
    FROM pg_attribute JOIN pg_class c ON c.oid = attrelid, aclexplode(attacl) a
    WHERE a.grantee = 0 AND c.relnamespace = 'public'::regnamespace;

    SELECT 'the database: PUBLIC has ' || a.privilege_type FROM pg_database, aclexplode(datacl) a
    WHERE a.grantee = 0 AND datname = current_database();

    SELECT 'objects to come: ' || a.grantee::regrole || ' will have ' || a.privilege_type
    FROM pg_default_acl, aclexplode(defaclacl) a WHERE a.grantee IN (0, CAST(:role AS regrole));

    SELECT 'schema ' || nspname || ' is not looked into' FROM pg_namespace
    WHERE nspname NOT LIKE 'pg\_%' AND nspname NOT IN ('public', 'information_schema');

    SELECT ev_class::regclass || ': rule ' || rulename || ' runs as the owner' FROM pg_rewrite
    JOIN pg_class c ON c.oid = ev_class WHERE rulename <> '_RETURN' AND c.relnamespace = 'public'::regnamespace
"""

Check = Callable[[Connection], Iterator[str]]


def faults(connection: Connection) -> list[str]:
    """One sentence for each fault, which begins with what has it. `connection` is an administrator's."""
    checks: tuple[Check, ...] = (
        _security,
        _policies,
        _keys,
        _references,
        _grants,
        _views,
        _functions,
        quota_faults,
        _sentences,
    )
    return [fault for check in checks for fault in check(connection)]


def metadata_tables() -> set[str]:
    """The tables that the slices' models call tenant-owned."""
    slice_modules("features", "models")
    return {table.name for table in Base.metadata.tables.values() if is_tenant_owned(table)}


def isolated_tables(connection: Connection) -> set[str]:
    """Those that have a tenant's rows by their columns, by the models, or are the table of tenants itself."""
    found = {row.name for row in _rows(connection, TABLES) if row.kind in "rpf" and row.has_tenant}
    return (found - GLOBAL.keys()) | metadata_tables() | TENANT_COLUMN.keys()


def _rows(connection: Connection, query: str, **parameters: Any) -> list[Any]:
    return list(connection.execute(text(query), parameters))


def _security(connection: Connection) -> Iterator[str]:
    tables = {row.name: row for row in _rows(connection, TABLES)}
    for table in sorted(isolated_tables(connection)):
        if table not in tables:
            yield f"{table}: is not in the database"
            continue
        if TENANT_COLUMN.get(table) is None and not tables[table].has_tenant:
            yield f"{table}: has no tenant_id"
        if not tables[table].enabled:
            yield f"{table}: row-level security is not enabled"
        if not tables[table].forced:
            yield f"{table}: row-level security is not forced"
    yield from (f"{table}: is on the list of global tables only" for table in sorted(GLOBAL.keys() - tables.keys()))


def _policies(connection: Connection) -> Iterator[str]:
    references = _reference_policies(connection)
    present = _rows(connection, POLICIES)
    for table in sorted(isolated_tables(connection)):
        column = TENANT_COLUMN.get(table, "tenant_id")
        policies = {policy.name: policy for policy in present if policy.table == table}
        if POLICY not in policies:
            yield f"{table}: has no policy {POLICY}"
        elif policies[POLICY][2:] != references[column]:
            yield f"{table}: policy {POLICY} is not the platform's"
        for name, policy in policies.items():
            if name != POLICY and policy.permissive and policy[2:] != references.get((table, name)):
                yield f"{table}: policy {name} opens what is closed"


def _reference_policies(connection: Connection) -> dict[object, tuple[Any, ...]]:
    """How PostgreSQL writes the policies that the platform's operations make, read from tables that do not stay."""
    found: dict[object, tuple[Any, ...]] = {}
    for key, column, operation in (
        *((column, column, None) for column in ("tenant_id", "id")),
        *((key, "id", AllowReads(SCRATCH, key[1], read.using, read.role)) for key, read in READ_POLICIES.items()),
    ):
        with connection.begin_nested() as savepoint:
            connection.execute(text(f"CREATE TABLE {SCRATCH} (tenant_id uuid, id uuid, user_id uuid, subject_id uuid)"))
            for statement in (operation or EnableTenantRls(SCRATCH, column)).statements():
                connection.execute(text(statement))
            found[key] = next(policy[2:] for policy in _rows(connection, POLICIES) if policy.table == SCRATCH)
            savepoint.rollback()
    return found


def _keys(connection: Connection) -> Iterator[str]:
    tables = isolated_tables(connection) - TENANT_COLUMN.keys()
    keys = [key for key in _rows(connection, KEYS) if key.table in tables]
    for key in keys:
        if key.is_primary and key.columns[0] != "tenant_id":
            yield f"{key.table}: tenant_id is not first in its primary key"
        if "tenant_id" not in key.columns:
            yield f"{key.table}: {key.name} is unique across tenants"
    for table in sorted(tables - {key.table for key in keys if key.is_primary}):
        yield f"{table}: has no primary key"


def _references(connection: Connection) -> Iterator[str]:
    tables = isolated_tables(connection) - TENANT_COLUMN.keys()
    for reference in _rows(connection, REFERENCES):
        if {reference.table, reference.target} <= tables and not reference.carries_tenant:
            yield f"{reference.table}: {reference.name} can point into another tenant"


def _grants(connection: Connection) -> Iterator[str]:
    owned = isolated_tables(connection)
    # MAINTAIN is younger than PostgreSQL 16.
    version = connection.scalar(text("SELECT current_setting('server_version_num')::int"))
    verbs = [*VERBS, "MAINTAIN"] if version >= 170_000 else [*VERBS]
    for held in _rows(connection, PRIVILEGES, role=RUNTIME_ROLE, verbs=verbs, column_verbs=[*COLUMN_VERBS]):
        allowed = set(GLOBAL[held.table].verbs.split()) if held.table in GLOBAL else set()
        if held.table in owned:
            allowed |= OWNED_VERBS
        if held.kind == "v":
            allowed.add("SELECT")
        if held.verb not in allowed:
            yield f"{held.table}: {RUNTIME_ROLE} has {held.verb}"
        if held.may_grant:
            yield f"{held.table}: {RUNTIME_ROLE} may grant {held.verb}"


def _views(connection: Connection) -> Iterator[str]:
    for (view,) in _rows(connection, PLAIN_VIEWS):
        yield f"{view}: is a view without security_invoker"


def _functions(connection: Connection) -> Iterator[str]:
    for function in _rows(connection, FUNCTIONS):
        if function.definer and function.name not in DEFINER_FUNCTIONS:
            yield f"{function.signature}: is SECURITY DEFINER"
        if function.searches_anywhere:
            yield f"{function.signature}: has no fixed search_path"
        if function.for_anyone:
            yield f"{function.signature}: PUBLIC may execute it"


def _sentences(connection: Connection) -> Iterator[str]:
    for query in SENTENCES.split(";"):
        yield from (row[0] for row in _rows(connection, query, role=RUNTIME_ROLE))
