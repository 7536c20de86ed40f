"""Alembic operations for isolation, written by `tenantry database make-migrations` and never by hand.

`op.enable_tenant_rls("projects")` enables and forces row-level security, adds the one policy and grants the
runtime role its four verbs. Autogeneration adds it for a new tenant-owned table, and reports one that lost it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from alembic.autogenerate import comparators, renderers
from alembic.autogenerate.api import AutogenContext
from alembic.operations import MigrateOperation, Operations
from alembic.operations.ops import UpgradeOps
from alembic.util.langhelpers import DispatchPriority
from sqlalchemy import text

from tenantry.db.base import BOUND_TENANT, is_view
from tenantry.db.roles import RUNTIME_ROLE

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

__all__ = ("POLICY", "is_tenant_owned", "lacks_tenant_rls")

POLICY = "tenant_isolation"
LACKS_RLS = text(
    """
    SELECT NOT (c.relrowsecurity AND c.relforcerowsecurity AND EXISTS (
        SELECT FROM pg_policy p WHERE p.polrelid = c.oid AND p.polname = :policy))
    FROM pg_class c WHERE c.oid = to_regclass(:table)
    """
)


@Operations.register_operation("enable_tenant_rls")
class EnableTenantRls(MigrateOperation):
    """`column` is the one that holds the tenant: `id` in the table of tenants itself."""

    def __init__(self, table: str, column: str = "tenant_id") -> None:
        self.table, self.column = table, column

    @classmethod
    def enable_tenant_rls(cls, operations: Operations, table: str, *, column: str = "tenant_id") -> None:
        operations.invoke(cls(table, column))

    def reverse(self) -> MigrateOperation:
        return DisableTenantRls(self.table, self.column)

    def to_diff_tuple(self) -> tuple[str, str]:
        """How `tenantry database check` names what is missing."""
        return ("enable_tenant_rls", self.table)

    def statements(self) -> list[str]:
        owned = f"{self.column} = (SELECT {BOUND_TENANT})"
        return [
            f"ALTER TABLE {self.table} ENABLE ROW LEVEL SECURITY",
            f"ALTER TABLE {self.table} FORCE ROW LEVEL SECURITY",
            f"DROP POLICY IF EXISTS {POLICY} ON {self.table}",
            f"CREATE POLICY {POLICY} ON {self.table} USING ({owned}) WITH CHECK ({owned})",
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON {self.table} TO {RUNTIME_ROLE}",
        ]


@Operations.register_operation("disable_tenant_rls")
class DisableTenantRls(MigrateOperation):
    def __init__(self, table: str, column: str = "tenant_id") -> None:
        self.table, self.column = table, column

    @classmethod
    def disable_tenant_rls(cls, operations: Operations, table: str, *, column: str = "tenant_id") -> None:
        operations.invoke(cls(table, column))

    def reverse(self) -> MigrateOperation:
        return EnableTenantRls(self.table, self.column)

    def statements(self) -> list[str]:
        return [
            f"REVOKE ALL ON {self.table} FROM {RUNTIME_ROLE}",
            f"DROP POLICY {POLICY} ON {self.table}",
            f"ALTER TABLE {self.table} NO FORCE ROW LEVEL SECURITY",
            f"ALTER TABLE {self.table} DISABLE ROW LEVEL SECURITY",
        ]


@Operations.register_operation("allow_reads")
class AllowReads(MigrateOperation):
    """A second policy, for SELECT only: people see their own rows of every tenant, and `role` what it has to."""

    def __init__(self, table: str, name: str, using: str, role: str = "PUBLIC") -> None:
        self.table, self.name, self.using, self.role = table, name, using, role

    @classmethod
    def allow_reads(cls, operations: Operations, table: str, *, name: str, using: str, role: str = "PUBLIC") -> None:
        operations.invoke(cls(table, name, using, role))

    def statements(self) -> list[str]:
        return [f"CREATE POLICY {self.name} ON {self.table} FOR SELECT TO {self.role} USING ({self.using})"]


@Operations.register_operation("grant_runtime")
class GrantRuntime(MigrateOperation):
    """What the runtime role may do with a global table."""

    def __init__(self, table: str, verbs: tuple[str, ...]) -> None:
        self.table, self.verbs = table, verbs

    @classmethod
    def grant_runtime(cls, operations: Operations, table: str, *verbs: str) -> None:
        operations.invoke(cls(table, verbs))

    def statements(self) -> list[str]:
        return [f"GRANT {', '.join(self.verbs)} ON {self.table} TO {RUNTIME_ROLE}"]


@Operations.implementation_for(EnableTenantRls)
@Operations.implementation_for(DisableTenantRls)
@Operations.implementation_for(AllowReads)
@Operations.implementation_for(GrantRuntime)
def _run(operations: Operations, operation: Any) -> None:
    for statement in operation.statements():
        operations.execute(statement)


@renderers.dispatch_for(EnableTenantRls)
def _render_enable(_: AutogenContext, operation: EnableTenantRls) -> str:
    return f"op.enable_tenant_rls({operation.table!r})"


@renderers.dispatch_for(DisableTenantRls)
def _render_disable(_: AutogenContext, operation: DisableTenantRls) -> str:
    return f"op.disable_tenant_rls({operation.table!r})"


# Last, so that the table stands before its row-level security.
@comparators.dispatch_for("schema", priority=DispatchPriority.LAST)
def _compare(context: AutogenContext, upgrade: UpgradeOps, _: Any) -> None:
    """Report every tenant-owned table, new or existing, that is not forced or lacks its policy."""
    assert context.connection is not None and context.metadata is not None
    tables = context.metadata.tables.values() if hasattr(context.metadata, "tables") else []
    for table in tables:
        if is_tenant_owned(table) and lacks_tenant_rls(context.connection, table.name):
            upgrade.ops.append(EnableTenantRls(table.name))


def is_tenant_owned(table: Any) -> bool:
    """A view shows what the policies of its tables let it see."""
    return "tenant_id" in table.columns and table.columns["tenant_id"].primary_key and not is_view(table)


def lacks_tenant_rls(connection: Connection, table: str) -> bool:
    """True as well for a table that does not exist yet."""
    return bool(connection.scalar(LACKS_RLS, {"table": table, "policy": POLICY}) in (None, True))
