"""Factors and origins of sessions, second steps of log-ins, and what tenants require of a session

Revision: 0013, after 0012
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

TEXTS = postgresql.ARRAY(sa.Text())
DERIVE = """
CREATE OR REPLACE FUNCTION derive_membership() RETURNS trigger
LANGUAGE plpgsql SECURITY INVOKER SET search_path = pg_catalog, public AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND OLD.role = 'owner' AND NEW.role IS DISTINCT FROM 'owner' THEN
        -- The lock that keep_an_owner needs: taken after the weaker one, two demotions would wait for each other.
        PERFORM FROM tenants t WHERE t.id = OLD.tenant_id FOR NO KEY UPDATE;
    END IF;
    SELECT t.status, t.plan, t.requires_second_factor, t.required_connection
      INTO NEW.tenant_status, NEW.tenant_plan, NEW.requires_second_factor, NEW.required_connection
      FROM tenants t WHERE t.id = NEW.tenant_id FOR SHARE;
    NEW.permissions := '{}';
    IF NEW.custom_role IS NOT NULL THEN
        SELECT r.permissions INTO NEW.permissions
          FROM custom_roles r WHERE r.tenant_id = NEW.tenant_id AND r.name = NEW.custom_role FOR SHARE;
        NEW.permissions := coalesce(NEW.permissions, '{}');
    END IF;
    RETURN NEW;
END
$$
"""
RENEW = """
CREATE OR REPLACE FUNCTION renew_memberships() RETURNS trigger
LANGUAGE plpgsql SECURITY INVOKER SET search_path = pg_catalog, public AS $$
BEGIN
    IF TG_TABLE_NAME = 'tenants' THEN
        UPDATE memberships
           SET tenant_status = NEW.status, tenant_plan = NEW.plan,
               requires_second_factor = NEW.requires_second_factor, required_connection = NEW.required_connection
         WHERE tenant_id = NEW.id;
    ELSE
        UPDATE memberships SET permissions = NEW.permissions
         WHERE tenant_id = NEW.tenant_id AND custom_role = NEW.name;
    END IF;
    RETURN NULL;
END
$$
"""
RENEW_TRIGGER = """
CREATE TRIGGER renew AFTER UPDATE ON tenants FOR EACH ROW
    WHEN (NEW.status <> OLD.status OR NEW.plan <> OLD.plan
          OR NEW.requires_second_factor IS DISTINCT FROM OLD.requires_second_factor
          OR NEW.required_connection IS DISTINCT FROM OLD.required_connection)
    EXECUTE FUNCTION renew_memberships()
"""
# A provider that a tenant requires answers for the second factor as well. Owners can always come in without it: else a
# provider that is gone, or set up wrongly, would lock out those who could mend it.
BEGIN_REQUEST = """
CREATE OR REPLACE FUNCTION begin_request(p_session uuid, p_tenant uuid, p_permission text) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = pg_catalog, public AS $$
DECLARE
    person uuid;
    plan text;
    denial text;
BEGIN
    PERFORM set_config('app.tenant_id', coalesce(p_tenant::text, ''), true);

    SELECT s.user_id, m.tenant_plan,
           CASE
               WHEN (s.ended_at IS NULL AND s.expires_at > now()) IS NOT TRUE THEN 'session_ended'
               WHEN u.disabled_at IS NOT NULL THEN 'account_disabled'
               WHEN p_permission IS NULL THEN NULL
               WHEN p_tenant IS NULL THEN 'tenant_required'
               WHEN m.id IS NULL THEN 'not_a_member'
               WHEN s.only_tenant_id <> p_tenant THEN 'session_confined'
               WHEN m.tenant_status <> 'active' THEN 'tenant_' || m.tenant_status
               WHEN m.required_connection IS NOT NULL AND s.connection_id IS DISTINCT FROM m.required_connection
                    AND m.role IS DISTINCT FROM 'owner' THEN 'tenant_requires_sso'
               WHEN m.requires_second_factor AND s.second_factor_at IS NULL
                    AND (s.connection_id = m.required_connection) IS NOT TRUE THEN 'tenant_requires_second_factor'
               WHEN rp.permission IS NULL AND p_permission <> ALL (m.permissions) THEN 'permission_missing'
           END
      INTO person, plan, denial
      FROM sessions s
      JOIN users u ON u.id = s.user_id
      LEFT JOIN memberships m ON m.tenant_id = p_tenant AND m.subject_id = s.user_id
      LEFT JOIN role_permissions rp ON rp.role = m.role AND rp.permission = p_permission
     WHERE s.id = p_session;

    IF person IS NULL OR denial IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'insufficient_privilege', MESSAGE = 'begin_request',
            DETAIL = coalesce(denial, 'session_ended'), HINT = coalesce(p_permission, '');
    END IF;

    -- Where a tenant is bound, its rows are all there is: not even one's own memberships of another.
    IF p_permission IS NULL THEN
        PERFORM set_config('app.user_id', person::text, true);
    ELSE
        PERFORM set_config('app.plan', plan, true);
    END IF;
END
$$
"""
DERIVE_BEFORE = """
CREATE OR REPLACE FUNCTION derive_membership() RETURNS trigger
LANGUAGE plpgsql SECURITY INVOKER SET search_path = pg_catalog, public AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND OLD.role = 'owner' AND NEW.role IS DISTINCT FROM 'owner' THEN
        -- The lock that keep_an_owner needs: taken after the weaker one, two demotions would wait for each other.
        PERFORM FROM tenants t WHERE t.id = OLD.tenant_id FOR NO KEY UPDATE;
    END IF;
    SELECT t.status, t.plan INTO NEW.tenant_status, NEW.tenant_plan
      FROM tenants t WHERE t.id = NEW.tenant_id FOR SHARE;
    NEW.permissions := '{}';
    IF NEW.custom_role IS NOT NULL THEN
        SELECT r.permissions INTO NEW.permissions
          FROM custom_roles r WHERE r.tenant_id = NEW.tenant_id AND r.name = NEW.custom_role FOR SHARE;
        NEW.permissions := coalesce(NEW.permissions, '{}');
    END IF;
    RETURN NEW;
END
$$
"""
RENEW_BEFORE = """
CREATE OR REPLACE FUNCTION renew_memberships() RETURNS trigger
LANGUAGE plpgsql SECURITY INVOKER SET search_path = pg_catalog, public AS $$
BEGIN
    IF TG_TABLE_NAME = 'tenants' THEN
        UPDATE memberships SET tenant_status = NEW.status, tenant_plan = NEW.plan WHERE tenant_id = NEW.id;
    ELSE
        UPDATE memberships SET permissions = NEW.permissions
         WHERE tenant_id = NEW.tenant_id AND custom_role = NEW.name;
    END IF;
    RETURN NULL;
END
$$
"""
RENEW_TRIGGER_BEFORE = """
CREATE TRIGGER renew AFTER UPDATE ON tenants FOR EACH ROW
    WHEN (NEW.status <> OLD.status OR NEW.plan <> OLD.plan) EXECUTE FUNCTION renew_memberships()
"""
BEGIN_REQUEST_BEFORE = """
CREATE OR REPLACE FUNCTION begin_request(p_session uuid, p_tenant uuid, p_permission text) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = pg_catalog, public AS $$
DECLARE
    person uuid;
    plan text;
    denial text;
BEGIN
    PERFORM set_config('app.tenant_id', coalesce(p_tenant::text, ''), true);

    SELECT s.user_id, m.tenant_plan,
           CASE
               WHEN (s.ended_at IS NULL AND s.expires_at > now()) IS NOT TRUE THEN 'session_ended'
               WHEN u.disabled_at IS NOT NULL THEN 'account_disabled'
               WHEN p_permission IS NULL THEN NULL
               WHEN p_tenant IS NULL THEN 'tenant_required'
               WHEN m.id IS NULL THEN 'not_a_member'
               WHEN m.tenant_status <> 'active' THEN 'tenant_' || m.tenant_status
               WHEN rp.permission IS NULL AND p_permission <> ALL (m.permissions) THEN 'permission_missing'
           END
      INTO person, plan, denial
      FROM sessions s
      JOIN users u ON u.id = s.user_id
      LEFT JOIN memberships m ON m.tenant_id = p_tenant AND m.subject_id = s.user_id
      LEFT JOIN role_permissions rp ON rp.role = m.role AND rp.permission = p_permission
     WHERE s.id = p_session;

    IF person IS NULL OR denial IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'insufficient_privilege', MESSAGE = 'begin_request',
            DETAIL = coalesce(denial, 'session_ended'), HINT = coalesce(p_permission, '');
    END IF;

    -- Where a tenant is bound, its rows are all there is: not even one's own memberships of another.
    IF p_permission IS NULL THEN
        PERFORM set_config('app.user_id', person::text, true);
    ELSE
        PERFORM set_config('app.plan', plan, true);
    END IF;
END
$$
"""
ORIGIN: tuple[sa.Column[object], ...] = (
    sa.Column("address", sa.Text(), server_default="", nullable=False),
    sa.Column("methods", TEXTS, server_default="{}", nullable=False),
    sa.Column("authenticated_at", sa.DateTime(timezone=True), nullable=True),
    sa.Column("second_factor_at", sa.DateTime(timezone=True), nullable=True),
    sa.Column("connection_id", sa.Uuid(), nullable=True),
    sa.Column("only_tenant_id", sa.Uuid(), nullable=True),
)
REQUIRED = sa.Computed("coalesce((settings #>> '{mfa,required}')::boolean, false)", persisted=True)


def upgrade() -> None:
    op.alter_column("users", "password_hash", nullable=True)
    op.add_column("users", sa.Column("second_factor_at", sa.DateTime(timezone=True), nullable=True))
    for column in ORIGIN:
        op.add_column("sessions", column.copy())
    lasts = sa.text("now() + interval '90 days'")
    op.add_column("sessions", sa.Column("ends_at", sa.DateTime(timezone=True), server_default=lasts, nullable=False))
    op.alter_column("sessions", "ends_at", server_default=None)
    op.create_table(
        "login_challenges",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("session_id", sa.Uuid(), nullable=True),
        sa.Column("tenant_id", sa.Uuid(), nullable=True),
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("methods", TEXTS, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_login_challenges_user_id")),
        sa.ForeignKeyConstraint(["session_id"], ["sessions.id"], name=op.f("fk_login_challenges_session_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_login_challenges")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_login_challenges_token_hash")),
    )
    op.grant_runtime("login_challenges", "SELECT", "INSERT", "DELETE")
    op.add_column("tenants", sa.Column("requires_second_factor", sa.Boolean(), REQUIRED, nullable=False))
    op.add_column("tenants", sa.Column("required_connection", sa.Uuid(), nullable=True))
    op.add_column(
        "memberships", sa.Column("requires_second_factor", sa.Boolean(), server_default=sa.false(), nullable=False)
    )
    op.alter_column("memberships", "requires_second_factor", server_default=None)
    op.add_column("memberships", sa.Column("required_connection", sa.Uuid(), nullable=True))
    op.execute(DERIVE)
    op.execute(RENEW)
    op.execute("DROP TRIGGER renew ON tenants")
    op.execute(RENEW_TRIGGER)
    op.execute(BEGIN_REQUEST)


def downgrade() -> None:
    op.execute(BEGIN_REQUEST_BEFORE)
    op.execute("DROP TRIGGER renew ON tenants")
    op.execute(RENEW_TRIGGER_BEFORE)
    op.execute(RENEW_BEFORE)
    op.execute(DERIVE_BEFORE)
    for column in ("required_connection", "requires_second_factor"):
        op.drop_column("memberships", column)
        op.drop_column("tenants", column)
    op.drop_table("login_challenges")
    for column in ("ends_at", *(column.name for column in ORIGIN)):
        op.drop_column("sessions", column)
    op.drop_column("users", "second_factor_at")
    op.execute("UPDATE users SET password_hash = '' WHERE password_hash IS NULL")
    op.alter_column("users", "password_hash", nullable=False)
