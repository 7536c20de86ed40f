"""Plans and their quotas; erasures, and how operators find tenants

Revision: 0009, after 0008
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

# The lock makes those wait who would add at the same time; each statement of the function then sees what they have
# committed. `app.plan` is that of the bound tenant: where it is not set, in jobs and commands, the tenant says it.
ENFORCE_QUOTA = """
CREATE FUNCTION enforce_quota() RETURNS trigger
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = pg_catalog, public AS $$
DECLARE
    tenant uuid := nullif(current_setting('app.tenant_id', true), '')::uuid;
    its_plan text := nullif(current_setting('app.plan', true), '');
    allowed bigint;
    present bigint;
BEGIN
    IF its_plan IS NULL THEN
        SELECT t.plan INTO its_plan FROM tenants t WHERE t.id = tenant;
    END IF;
    SELECT q.most INTO allowed FROM plan_quotas q WHERE q.plan = its_plan AND q.quota = TG_ARGV[0];
    IF allowed IS NULL THEN
        RETURN NULL;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('quota ' || TG_ARGV[0] || ' ' || tenant, 0));
    EXECUTE format('SELECT count(*) FROM (SELECT FROM %I.%I WHERE tenant_id = $1 AND %s LIMIT $2) AS counted',
                   TG_TABLE_SCHEMA, TG_TABLE_NAME, TG_ARGV[1])
       INTO present USING tenant, allowed + 1;
    IF present > allowed THEN
        RAISE EXCEPTION USING ERRCODE = 'TQ001', MESSAGE = 'quota_exceeded',
            DETAIL = json_build_object('quota', TG_ARGV[0], 'limit', allowed, 'plan', its_plan);
    END IF;
    RETURN NULL;
END
$$
"""
PEOPLE, GOOD_KEYS = "user_id IS NOT NULL", "revoked_at IS NULL"


def upgrade() -> None:
    op.create_check_constraint(op.f("ck_tenants_plan"), "tenants", "plan IN ('free', 'team', 'unlimited')")
    op.create_table(
        "plan_quotas",
        sa.Column("plan", sa.Text(), nullable=False),
        sa.Column("quota", sa.Text(), nullable=False),
        sa.Column("most", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("plan", "quota", name=op.f("pk_plan_quotas")),
    )
    op.grant_runtime("plan_quotas", "SELECT")
    op.create_table(
        "erasures",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("report", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_erasures")),
    )
    op.grant_runtime("erasures", "INSERT")
    # Commands find tenants as the owner. It could lift every policy anyway, and the service can never act as it.
    op.allow_reads("tenants", name="operators", using="true", role="tenantry_owner")
    op.execute(ENFORCE_QUOTA)
    op.execute("REVOKE ALL ON FUNCTION enforce_quota FROM PUBLIC")
    op.enforce_quota("projects")
    op.enforce_quota("memberships", quota="members", counting=PEOPLE)
    op.enforce_quota("service_accounts")
    op.enforce_quota("api_keys", counting=GOOD_KEYS)


def downgrade() -> None:
    for table, quota in (
        ("projects", "projects"),
        ("memberships", "members"),
        ("service_accounts", "service_accounts"),
        ("api_keys", "api_keys"),
    ):
        op.lift_quota(table, quota=quota)
    op.execute("DROP FUNCTION enforce_quota")
    op.execute("DROP POLICY operators ON tenants")
    op.drop_table("erasures")
    op.drop_table("plan_quotas")
    op.drop_constraint("ck_tenants_plan", "tenants")
