"""Plans of tenants, and the quotas that slices declare on their rows:

    class ProjectRow(TenantOwned):
        quota = Quota("projects", free=20, team=2_000)

Every migration run mirrors them into `plan_quotas`, where the triggers of `tenantry.db.quotas` look them up.
"""

from collections.abc import Iterable
from enum import StrEnum

import msgspec
from sqlalchemy import Connection, text

__all__ = ("REQUESTS_PER_MINUTE", "Plan", "Quota", "mirror_quotas")


class Plan(StrEnum):
    free = "free"
    team = "team"
    unlimited = "unlimited"
    """No quota holds."""


REQUESTS_PER_MINUTE = {Plan.free: 300, Plan.team: 6_000}
"""Of all that work for a tenant together. No row stands for a request, so `tenantry.limits` counts them."""


class Quota(msgspec.Struct, frozen=True):
    """The most that a tenant of each plan may have."""

    name: str
    free: int
    team: int
    counting: str = "true"
    """SQL that is true of the rows that count."""


def mirror_quotas(connection: Connection, quotas: Iterable[Quota]) -> None:
    """Make the rows equal to the declarations."""
    rows = [
        {"plan": plan, "quota": quota.name, "most": most}
        for quota in quotas
        for plan, most in (("free", quota.free), ("team", quota.team))
    ]
    connection.execute(
        text("DELETE FROM plan_quotas WHERE NOT (plan || ' ' || quota) = ANY(:declared)"),
        {"declared": [f"{row['plan']} {row['quota']}" for row in rows]},
    )
    if rows:
        upsert = "INSERT INTO plan_quotas (plan, quota, most) VALUES (:plan, :quota, :most)"
        connection.execute(text(f"{upsert} ON CONFLICT (plan, quota) DO UPDATE SET most = excluded.most"), rows)
