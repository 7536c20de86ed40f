"""Custom roles, service accounts and API keys; memberships hold all that decides what their subject may do

Revision: 0007, after 0006
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

BOUND_TENANT = "nullif(current_setting('app.tenant_id', true), '')::uuid"
TEXTS = postgresql.ARRAY(sa.Text())


def owned(*columns: sa.Column[object]) -> list[sa.Column[object]]:
    """The columns of a tenant's table, with those that each has."""
    return [
        sa.Column("tenant_id", sa.Uuid(), server_default=sa.text(BOUND_TENANT), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        *columns,
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
    ]


# What a membership holds of its tenant and of its custom role is theirs: no statement can write anything else. The lock
# makes a change of either wait, and then see this membership.
DERIVE = """
CREATE FUNCTION derive_membership() RETURNS trigger
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
$$;
CREATE TRIGGER derive BEFORE INSERT OR UPDATE ON memberships FOR EACH ROW EXECUTE FUNCTION derive_membership()
"""
RENEW = """
CREATE FUNCTION renew_memberships() RETURNS trigger
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
$$;
CREATE TRIGGER renew AFTER UPDATE ON tenants FOR EACH ROW
    WHEN (NEW.status <> OLD.status OR NEW.plan <> OLD.plan) EXECUTE FUNCTION renew_memberships();
CREATE TRIGGER renew AFTER UPDATE ON custom_roles FOR EACH ROW
    WHEN (NEW.permissions <> OLD.permissions) EXECUTE FUNCTION renew_memberships()
"""
KEEP_AN_OWNER = """
CREATE FUNCTION keep_an_owner() RETURNS trigger
LANGUAGE plpgsql SECURITY INVOKER SET search_path = pg_catalog, public AS $$
BEGIN
    PERFORM FROM tenants t WHERE t.id = OLD.tenant_id AND t.status <> 'deleting' FOR NO KEY UPDATE;
    IF FOUND AND NOT EXISTS (SELECT FROM memberships m
                             WHERE m.tenant_id = OLD.tenant_id AND m.role = 'owner' AND m.user_id IS NOT NULL) THEN
        RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'ck_memberships_last_owner',
            MESSAGE = 'a tenant keeps an owner';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER keep_an_owner_at_change AFTER UPDATE ON memberships FOR EACH ROW
    WHEN (OLD.role = 'owner' AND NEW.role IS DISTINCT FROM 'owner') EXECUTE FUNCTION keep_an_owner();
CREATE TRIGGER keep_an_owner_at_removal AFTER DELETE ON memberships FOR EACH ROW
    WHEN (OLD.role = 'owner') EXECUTE FUNCTION keep_an_owner()
"""
# SECURITY INVOKER, as before: it sees what the runtime role sees, once the tenant is bound.
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
# Its twin for API keys, of people and of service accounts. `p_secret` is NULL where a token that was issued for the key
# speaks for it; `p_permission` is NULL where it is enough that the key is good.
BEGIN_KEY_REQUEST = """
CREATE FUNCTION begin_key_request(p_key uuid, p_secret bytea, p_tenant uuid, p_permission text) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = pg_catalog, public AS $$
DECLARE
    plan text;
    used timestamptz;
    denial text;
BEGIN
    PERFORM set_config('app.tenant_id', coalesce(p_tenant::text, ''), true);

    SELECT m.tenant_plan, k.last_used_at,
           CASE
               WHEN p_secret <> k.secret_hash
                    AND (p_secret = k.previous_hash AND k.previous_until > now()) IS NOT TRUE THEN 'invalid_api_key'
               WHEN k.revoked_at IS NOT NULL THEN 'api_key_revoked'
               WHEN k.expires_at <= now() THEN 'api_key_expired'
               WHEN u.disabled_at IS NOT NULL THEN 'account_disabled'
               WHEN m.tenant_status <> 'active' THEN 'tenant_' || m.tenant_status
               WHEN p_permission IS NULL THEN ''
               WHEN p_permission <> ALL (k.scopes) THEN 'scope_missing'
               WHEN rp.permission IS NULL AND p_permission <> ALL (m.permissions) THEN 'permission_missing'
               ELSE ''
           END
      INTO plan, used, denial
      FROM api_keys k
      JOIN memberships m ON m.tenant_id = k.tenant_id AND m.subject_id = k.subject_id
      LEFT JOIN users u ON u.id = m.user_id
      LEFT JOIN role_permissions rp ON rp.role = m.role AND rp.permission = p_permission
     WHERE k.tenant_id = p_tenant AND k.id = p_key;

    IF denial IS DISTINCT FROM '' THEN
        RAISE EXCEPTION USING ERRCODE = 'insufficient_privilege', MESSAGE = 'begin_request',
            DETAIL = coalesce(denial, 'invalid_api_key'), HINT = coalesce(p_permission, '');
    END IF;

    PERFORM set_config('app.plan', plan, true);
    IF used IS NULL OR used < now() - interval '1 minute' THEN
        -- Whoever else uses the key at this moment need not wait to say the same.
        UPDATE api_keys SET last_used_at = now() WHERE tenant_id = p_tenant AND id IN (
            SELECT k.id FROM api_keys k WHERE k.tenant_id = p_tenant AND k.id = p_key FOR NO KEY UPDATE SKIP LOCKED);
    END IF;
END
$$
"""
HELD_PERMISSIONS = """
CREATE FUNCTION held_permissions(p_subject uuid, p_key uuid) RETURNS text[]
LANGUAGE sql STABLE SECURITY INVOKER SET search_path = pg_catalog, public AS $$
    SELECT coalesce(array_agg(held.permission ORDER BY held.permission), '{}')
      FROM memberships m
     CROSS JOIN LATERAL (SELECT rp.permission FROM role_permissions rp WHERE rp.role = m.role
                         UNION SELECT unnest(m.permissions)) AS held (permission)
     WHERE m.subject_id = p_subject
       AND (p_key IS NULL OR held.permission IN (SELECT unnest(k.scopes) FROM api_keys k WHERE k.id = p_key))
$$
"""
BEGIN_REQUEST_BEFORE = """
CREATE OR REPLACE FUNCTION begin_request(p_session uuid, p_tenant uuid, p_permission text) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = pg_catalog, public AS $$
DECLARE
    person uuid;
    denial text;
BEGIN
    PERFORM set_config('app.tenant_id', coalesce(p_tenant::text, ''), true);

    SELECT s.user_id,
           CASE
               WHEN (s.ended_at IS NULL AND s.expires_at > now()) IS NOT TRUE THEN 'session_ended'
               WHEN u.disabled_at IS NOT NULL THEN 'account_disabled'
               WHEN p_permission IS NULL THEN NULL
               WHEN p_tenant IS NULL THEN 'tenant_required'
               WHEN m.role IS NULL THEN 'not_a_member'
               WHEN t.status IS DISTINCT FROM 'active' THEN 'tenant_suspended'
               WHEN rp.permission IS NULL THEN 'permission_missing'
           END
      INTO person, denial
      FROM sessions s
      JOIN users u ON u.id = s.user_id
      LEFT JOIN tenants t ON t.id = p_tenant
      LEFT JOIN memberships m ON m.tenant_id = p_tenant AND m.user_id = s.user_id
      LEFT JOIN role_permissions rp ON rp.role = m.role AND rp.permission = p_permission
     WHERE s.id = p_session;

    IF person IS NULL OR denial IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'insufficient_privilege', MESSAGE = 'begin_request',
            DETAIL = coalesce(denial, 'session_ended'), HINT = coalesce(p_permission, '');
    END IF;

    -- Where a tenant is bound, its rows are all there is: not even one's own memberships of another.
    IF p_permission IS NULL THEN
        PERFORM set_config('app.user_id', person::text, true);
    END IF;
END
$$
"""
FUNCTIONS = {
    "derive_membership": False,
    "renew_memberships": False,
    "keep_an_owner": False,
    "begin_key_request": True,
    "held_permissions": True,
}
"""Whether the service calls it; triggers need nobody's leave."""


def upgrade() -> None:
    op.add_column("tenants", sa.Column("plan", sa.Text(), server_default="unlimited", nullable=False))
    op.add_column("tenants", sa.Column("settings", postgresql.JSONB(), server_default="{}", nullable=False))
    op.add_column("tenants", sa.Column("erase_after", sa.DateTime(timezone=True), nullable=True))
    op.alter_column("tenants", "plan", server_default=None)
    op.alter_column("tenants", "settings", server_default=None)
    replace_status_check("status IN ('active', 'suspended', 'deleting')")
    create_roles_and_service_accounts()
    extend_memberships()
    create_api_keys()
    for function in (DERIVE, RENEW, KEEP_AN_OWNER, BEGIN_REQUEST, BEGIN_KEY_REQUEST, HELD_PERMISSIONS):
        op.execute(function)
    for function, is_called in FUNCTIONS.items():
        op.execute(f"REVOKE ALL ON FUNCTION {function} FROM PUBLIC")
        if is_called:
            op.execute(f"GRANT EXECUTE ON FUNCTION {function} TO tenantry_app")


def create_roles_and_service_accounts() -> None:
    op.create_table(
        "custom_roles",
        *owned(
            sa.Column("name", sa.Text(), nullable=False),
            sa.Column("description", sa.Text(), nullable=False),
            sa.Column("permissions", TEXTS, nullable=False),
        ),
        sa.CheckConstraint("name NOT IN ('viewer', 'member', 'admin', 'owner')", name=op.f("ck_custom_roles_name")),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_custom_roles_tenant_id")),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_custom_roles")),
        sa.UniqueConstraint("tenant_id", "name", name=op.f("uq_custom_roles_tenant_id_name")),
    )
    op.enable_tenant_rls("custom_roles")
    op.create_table(
        "service_accounts",
        *owned(sa.Column("name", sa.Text(), nullable=False)),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_service_accounts_tenant_id")),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_service_accounts")),
        sa.UniqueConstraint("tenant_id", "name", name=op.f("uq_service_accounts_tenant_id_name")),
    )
    op.enable_tenant_rls("service_accounts")


def extend_memberships() -> None:
    """The default of what is derived holds for the rows that are there; the trigger writes all others."""
    op.alter_column("memberships", "user_id", nullable=True)
    op.alter_column("memberships", "role", nullable=True)
    op.add_column("memberships", sa.Column("service_account_id", sa.Uuid(), nullable=True))
    subject = sa.Computed("coalesce(user_id, service_account_id)", persisted=True)
    op.add_column("memberships", sa.Column("subject_id", sa.Uuid(), subject, nullable=False))
    op.add_column("memberships", sa.Column("custom_role", sa.Text(), nullable=True))
    op.add_column("memberships", sa.Column("permissions", TEXTS, server_default="{}", nullable=False))
    op.add_column("memberships", sa.Column("tenant_status", sa.Text(), server_default="active", nullable=False))
    op.add_column("memberships", sa.Column("tenant_plan", sa.Text(), server_default="unlimited", nullable=False))
    # As the owner of a table that forces row-level security sees nothing, the tenants that are suspended by now cannot
    # be asked for; for the length of this transaction, in which nobody else sees the tables, it is not forced.
    for table in ("memberships", "tenants"):
        op.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
    op.execute("UPDATE memberships m SET tenant_status = t.status FROM tenants t WHERE t.id = m.tenant_id")
    for table in ("memberships", "tenants"):
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    for column in ("permissions", "tenant_status", "tenant_plan"):
        op.alter_column("memberships", column, server_default=None)
    op.create_check_constraint(
        op.f("ck_memberships_subject"), "memberships", "num_nonnulls(user_id, service_account_id) = 1"
    )
    op.create_check_constraint(op.f("ck_memberships_role"), "memberships", "num_nonnulls(role, custom_role) = 1")
    op.drop_constraint("uq_memberships_tenant_id_user_id", "memberships")
    op.create_unique_constraint(op.f("uq_memberships_tenant_id_subject_id"), "memberships", ["tenant_id", "subject_id"])
    op.create_foreign_key(
        op.f("fk_memberships_tenant_id_service_account_id"), "memberships", "service_accounts",
        ["tenant_id", "service_account_id"], ["tenant_id", "id"], ondelete="CASCADE",
    )  # fmt: skip
    op.create_foreign_key(
        op.f("fk_memberships_tenant_id_custom_role"), "memberships", "custom_roles",
        ["tenant_id", "custom_role"], ["tenant_id", "name"], onupdate="CASCADE",
    )  # fmt: skip
    op.create_index(op.f("ix_memberships_subject_id"), "memberships", ["subject_id"])
    op.create_index(op.f("ix_memberships_tenant_id_created_at_id"), "memberships", ["tenant_id", "created_at", "id"])


def create_api_keys() -> None:
    op.create_table(
        "api_keys",
        *owned(
            sa.Column("subject_id", sa.Uuid(), nullable=False),
            sa.Column("name", sa.Text(), nullable=False),
            sa.Column("hint", sa.Text(), nullable=False),
            sa.Column("secret_hash", sa.LargeBinary(), nullable=False),
            sa.Column("previous_hash", sa.LargeBinary(), nullable=True),
            sa.Column("previous_until", sa.DateTime(timezone=True), nullable=True),
            sa.Column("scopes", TEXTS, nullable=False),
            sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
            sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
            sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
            sa.Column("created_by", sa.Uuid(), nullable=False),
        ),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_api_keys_tenant_id")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "subject_id"], ["memberships.tenant_id", "memberships.subject_id"],
            name=op.f("fk_api_keys_tenant_id_subject_id"), ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_api_keys")),
    )  # fmt: skip
    op.create_index(op.f("ix_api_keys_tenant_id_created_at_id"), "api_keys", ["tenant_id", "created_at", "id"])
    op.create_index(op.f("ix_api_keys_tenant_id_subject_id"), "api_keys", ["tenant_id", "subject_id"])
    op.enable_tenant_rls("api_keys")


def replace_status_check(condition: str) -> None:
    op.drop_constraint(op.f("ck_tenants_status"), "tenants")
    op.create_check_constraint(op.f("ck_tenants_status"), "tenants", condition)


def downgrade() -> None:
    """Subjects and roles that the older schema does not know lose their access: nothing stands for them there."""
    op.execute("DROP FUNCTION begin_key_request")
    op.execute("DROP FUNCTION held_permissions")
    op.execute(BEGIN_REQUEST_BEFORE)
    for table, trigger in (
        ("tenants", "renew"),
        ("custom_roles", "renew"),
        ("memberships", "derive"),
        ("memberships", "keep_an_owner_at_change"),
        ("memberships", "keep_an_owner_at_removal"),
    ):
        op.execute(f"DROP TRIGGER {trigger} ON {table}")
    for function in ("derive_membership", "renew_memberships", "keep_an_owner"):
        op.execute(f"DROP FUNCTION {function}")
    op.drop_table("api_keys")
    for table in ("memberships", "tenants"):
        op.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
    op.execute("DELETE FROM memberships WHERE user_id IS NULL OR role IS NULL")
    op.execute("UPDATE tenants SET status = 'suspended' WHERE status = 'deleting'")
    for table in ("memberships", "tenants"):
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    op.drop_index("ix_memberships_tenant_id_created_at_id", "memberships")
    op.drop_index("ix_memberships_subject_id", "memberships")
    op.drop_constraint("fk_memberships_tenant_id_custom_role", "memberships")
    op.drop_constraint("fk_memberships_tenant_id_service_account_id", "memberships")
    op.drop_constraint("uq_memberships_tenant_id_subject_id", "memberships")
    op.drop_constraint("ck_memberships_role", "memberships")
    op.drop_constraint("ck_memberships_subject", "memberships")
    for column in ("subject_id", "service_account_id", "custom_role", "permissions", "tenant_status", "tenant_plan"):
        op.drop_column("memberships", column)
    op.alter_column("memberships", "user_id", nullable=False)
    op.alter_column("memberships", "role", nullable=False)
    op.create_unique_constraint("uq_memberships_tenant_id_user_id", "memberships", ["tenant_id", "user_id"])
    op.drop_table("service_accounts")
    op.drop_table("custom_roles")
    replace_status_check("status IN ('active', 'suspended')")
    for column in ("plan", "settings", "erase_after"):
        op.drop_column("tenants", column)
