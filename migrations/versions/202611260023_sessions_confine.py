"""Keep sessions of a tenant's provider out of the account they belong to, and let all that is a person's go with it

Revision: 0023, after 0022
"""

from alembic import op

from tenantry.db.roles import RUNTIME_ROLE

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

# No permission asks for a session that is good for the account. An empty one asks for any: what a confined session then
# sees is bound to its tenant, where others see their own rows of all tenants.
OF_ACCOUNT = """
               WHEN p_permission IS NULL AND s.only_tenant_id IS NOT NULL THEN 'session_confined'
               WHEN coalesce(p_permission, '') = '' THEN NULL"""
OF_ANY_SESSION = """
               WHEN p_permission IS NULL THEN NULL"""
BIND = """
    IF confined_to IS NOT NULL AND p_permission = '' THEN
        PERFORM set_config('app.tenant_id', confined_to::text, true);
    ELSIF coalesce(p_permission, '') = '' THEN"""
BIND_USER = """
    IF p_permission IS NULL THEN"""
BEGIN_REQUEST = f"""
CREATE OR REPLACE FUNCTION begin_request(p_session uuid, p_tenant uuid, p_permission text) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = pg_catalog, public AS $$
DECLARE
    person uuid;
    plan text;
    denial text;
    confined_to uuid;
BEGIN
    PERFORM set_config('app.tenant_id', coalesce(p_tenant::text, ''), true);

    SELECT s.user_id, m.tenant_plan, s.only_tenant_id,
           CASE
               WHEN (s.ended_at IS NULL AND s.expires_at > now()) IS NOT TRUE THEN 'session_ended'
               WHEN u.disabled_at IS NOT NULL THEN 'account_disabled'{OF_ACCOUNT}
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
      INTO person, plan, confined_to, denial
      FROM sessions s
      JOIN users u ON u.id = s.user_id
      LEFT JOIN memberships m ON m.tenant_id = p_tenant AND m.subject_id = s.user_id
      LEFT JOIN role_permissions rp ON rp.role = m.role AND rp.permission = p_permission
     WHERE s.id = p_session;

    IF person IS NULL OR denial IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'insufficient_privilege', MESSAGE = 'begin_request',
            DETAIL = coalesce(denial, 'session_ended'), HINT = coalesce(p_permission, '');
    END IF;

    -- Where a tenant is bound, its rows are all there is: not even one's own memberships of another.{BIND}
        PERFORM set_config('app.user_id', person::text, true);
    ELSE
        PERFORM set_config('app.plan', plan, true);
    END IF;
END
$$
"""  # noqa: S608 -- constants of this file
BEGIN_REQUEST_BEFORE = (
    BEGIN_REQUEST.replace(OF_ACCOUNT, OF_ANY_SESSION)
    .replace(BIND, BIND_USER)
    .replace("    confined_to uuid;\n", "")
    .replace(", s.only_tenant_id,\n", ",\n")
    .replace("confined_to, ", "")
)


BELONGINGS = ("login_challenges", "password_resets", "address_changes")


def upgrade() -> None:
    op.execute(BEGIN_REQUEST)
    for table in ("totp_secrets", "passkeys"):
        op.grant_runtime(table, "DELETE")
    for table in BELONGINGS:
        refer_to_users(table, ondelete="CASCADE")


def downgrade() -> None:
    for table in BELONGINGS:
        refer_to_users(table, ondelete=None)
    for table in ("totp_secrets", "passkeys"):
        op.execute(f"REVOKE DELETE ON {table} FROM {RUNTIME_ROLE}")
    op.execute(BEGIN_REQUEST_BEFORE)


def refer_to_users(table: str, *, ondelete: str | None) -> None:
    name = f"fk_{table}_user_id"
    op.drop_constraint(op.f(name), table, type_="foreignkey")
    op.create_foreign_key(op.f(name), table, "users", ["user_id"], ["id"], ondelete=ondelete)
