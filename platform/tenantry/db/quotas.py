"""The Alembic operation that makes the database keep a quota: `op.enforce_quota("projects")`.

Its trigger counts after every INSERT, whatever way that has come; tenants whose plan is unlimited pay nothing for it.
Autogeneration adds it where a row class declares a quota.
"""

from __future__ import annotations

from typing import Any

from alembic.autogenerate import comparators, renderers
from alembic.autogenerate.api import AutogenContext
from alembic.operations import MigrateOperation, Operations
from alembic.operations.ops import UpgradeOps
from alembic.util.langhelpers import DispatchPriority
from sqlalchemy import text

from tenantry.db.base import Base, TenantOwned
from tenantry.plans import Quota

__all__ = ("EnforceQuota", "declared_quotas", "trigger_of")

HAS_TRIGGER = text("SELECT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = to_regclass(:table) AND tgname = :trigger)")


@Operations.register_operation("enforce_quota")
class EnforceQuota(MigrateOperation):
    """`counting` is SQL that is true of the rows that count."""

    def __init__(self, table: str, quota: str, counting: str) -> None:
        self.table, self.quota, self.counting = table, quota, counting

    @classmethod
    def enforce_quota(
        cls, operations: Operations, table: str, *, quota: str | None = None, counting: str = "true"
    ) -> None:
        operations.invoke(cls(table, quota or table, counting))

    def reverse(self) -> MigrateOperation:
        return LiftQuota(self.table, self.quota, self.counting)

    def to_diff_tuple(self) -> tuple[str, str]:
        """How `tenantry database check` names what is missing."""
        return ("enforce_quota", self.table)

    def statements(self) -> list[str]:
        trigger = (
            f"CREATE TRIGGER {trigger_of(self.quota)} AFTER INSERT ON {self.table} FOR EACH STATEMENT"
            " WHEN (current_setting('app.plan', true) IS DISTINCT FROM 'unlimited')"
            f" EXECUTE FUNCTION enforce_quota('{self.quota}', '{self.counting}')"
        )
        return [trigger]


@Operations.register_operation("lift_quota")
class LiftQuota(MigrateOperation):
    def __init__(self, table: str, quota: str, counting: str) -> None:
        self.table, self.quota, self.counting = table, quota, counting

    @classmethod
    def lift_quota(cls, operations: Operations, table: str, *, quota: str | None = None) -> None:
        operations.invoke(cls(table, quota or table, ""))

    def reverse(self) -> MigrateOperation:
        return EnforceQuota(self.table, self.quota, self.counting)

    def statements(self) -> list[str]:
        return [f"DROP TRIGGER {trigger_of(self.quota)} ON {self.table}"]


@Operations.implementation_for(EnforceQuota)
@Operations.implementation_for(LiftQuota)
def _run(operations: Operations, operation: Any) -> None:
    for statement in operation.statements():
        operations.execute(statement)


@renderers.dispatch_for(EnforceQuota)
def _render_enforce(_: AutogenContext, operation: EnforceQuota) -> str:
    counting = f", counting={operation.counting!r}" if operation.counting != "true" else ""
    return f"op.enforce_quota({operation.table!r}, quota={operation.quota!r}{counting})"


@renderers.dispatch_for(LiftQuota)
def _render_lift(_: AutogenContext, operation: LiftQuota) -> str:
    return f"op.lift_quota({operation.table!r}, quota={operation.quota!r})"


# Last, so that the table stands before its trigger.
@comparators.dispatch_for("schema", priority=DispatchPriority.LAST)
def _compare(context: AutogenContext, upgrade: UpgradeOps, _: Any) -> None:
    """Report every declared quota without its trigger."""
    assert context.connection is not None
    for table, quota in declared_quotas().items():
        if not context.connection.scalar(HAS_TRIGGER, {"table": table, "trigger": trigger_of(quota.name)}):
            upgrade.ops.append(EnforceQuota(table, quota.name, quota.counting))


def declared_quotas() -> dict[str, Quota]:
    """By table, of the models that are loaded.

    Raises:
        ValueError: when two declare the same name.
    """
    classes = [mapper.class_ for mapper in Base.registry.mappers if issubclass(mapper.class_, TenantOwned)]
    found = {class_.__tablename__: class_.quota for class_ in classes if class_.quota is not None}
    names = sorted(quota.name for quota in found.values())
    if twice := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"quota {', '.join(sorted(twice))} is declared twice")
    return dict(sorted(found.items()))


def trigger_of(quota: str) -> str:
    return f"quota_{quota}"
