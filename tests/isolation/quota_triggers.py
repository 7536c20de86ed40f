"""Whether every quota that a slice declares is kept by the trigger that the platform's operation makes."""

from collections.abc import Iterator

from sqlalchemy import Connection, text

from tenantry.db.quotas import EnforceQuota, declared_quotas, trigger_of
from tenantry.feature import slice_modules

__all__ = ("quota_faults",)

SCRATCH = "scratch_of_the_quota_proof"
TRIGGER = text(
    "SELECT pg_get_triggerdef(oid) FROM pg_trigger"
    " WHERE tgrelid = to_regclass(:table) AND tgname = :name AND tgenabled = 'O'"
)


def quota_faults(connection: Connection) -> Iterator[str]:
    """One sentence for each fault."""
    slice_modules("features", "models")
    for table, quota in declared_quotas().items():
        trigger = trigger_of(quota.name)
        with connection.begin_nested() as savepoint:
            connection.execute(text(f"CREATE TABLE {SCRATCH} ()"))
            for statement in EnforceQuota(SCRATCH, quota.name, quota.counting).statements():
                connection.execute(text(statement))
            reference = connection.scalar(TRIGGER, {"table": SCRATCH, "name": trigger})
            savepoint.rollback()
        present = connection.scalar(TRIGGER, {"table": table, "name": trigger})
        if present is None:
            yield f"{table}: nothing keeps its quota {quota.name}"
        elif present != reference.replace(SCRATCH, table):
            yield f"{table}: the trigger of its quota {quota.name} is not the platform's"
