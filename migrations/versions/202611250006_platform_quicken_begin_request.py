"""Ask the question of every request with less work

Revision: 0006, after 0005
"""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

# The answer is made inside of the query, and `app.user_id` needs no reset: a setting that is local to its transaction
# begins empty, and this is the first statement of each.
AFTER = """
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
BEFORE = """
CREATE OR REPLACE FUNCTION begin_request(p_session uuid, p_tenant uuid, p_permission text) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = pg_catalog, public AS $$
DECLARE
    found record;
    denial text;
BEGIN
    PERFORM set_config('app.tenant_id', coalesce(p_tenant::text, ''), true);

    SELECT s.user_id,
           s.ended_at IS NULL AND s.expires_at > now() AS session_is_live,
           u.disabled_at IS NOT NULL AS user_is_disabled,
           t.status AS tenant_status,
           m.role,
           rp.permission
      INTO found
      FROM sessions s
      JOIN users u ON u.id = s.user_id
      LEFT JOIN tenants t ON t.id = p_tenant
      LEFT JOIN memberships m ON m.tenant_id = p_tenant AND m.user_id = s.user_id
      LEFT JOIN role_permissions rp ON rp.role = m.role AND rp.permission = p_permission
     WHERE s.id = p_session;

    denial := CASE
        WHEN found.session_is_live IS NOT TRUE THEN 'session_ended'
        WHEN found.user_is_disabled THEN 'account_disabled'
        WHEN p_permission IS NULL THEN NULL
        WHEN p_tenant IS NULL THEN 'tenant_required'
        WHEN found.role IS NULL THEN 'not_a_member'
        WHEN found.tenant_status <> 'active' THEN 'tenant_suspended'
        WHEN found.permission IS NULL THEN 'permission_missing'
    END;
    IF denial IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'insufficient_privilege', MESSAGE = 'begin_request',
            DETAIL = denial, HINT = coalesce(p_permission, '');
    END IF;

    -- Where a tenant is bound, its rows are all there is: not even one's own memberships of another.
    PERFORM set_config('app.user_id', CASE WHEN p_permission IS NULL THEN found.user_id::text ELSE '' END, true);
END
$$
"""


def upgrade() -> None:
    op.execute(AFTER)


def downgrade() -> None:
    op.execute(BEFORE)
