"""Connections of tenants to their identity providers, and domains that are confirmed for a tenant

Revision: 0020, after 0019
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

BOUND_TENANT = "nullif(current_setting('app.tenant_id', true), '')::uuid"


def upgrade() -> None:
    op.create_table(
        "sso_connections",
        sa.Column("tenant_id", sa.Uuid(), server_default=sa.text(BOUND_TENANT), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("issuer", sa.Text(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("client_secret", sa.LargeBinary(), nullable=False),
        sa.Column("domains", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("built_in_role", sa.Text(), nullable=True),
        sa.Column("custom_role", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.CheckConstraint("num_nonnulls(built_in_role, custom_role) = 1", name=op.f("ck_sso_connections_role")),
        sa.CheckConstraint("built_in_role <> 'owner'", name=op.f("ck_sso_connections_no_owner")),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_sso_connections_tenant_id")),
        sa.ForeignKeyConstraint(["built_in_role"], ["roles.name"], name=op.f("fk_sso_connections_built_in_role")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "custom_role"],
            ["custom_roles.tenant_id", "custom_roles.name"],
            name=op.f("fk_sso_connections_tenant_id_custom_role"),
            onupdate="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_sso_connections")),
        sa.UniqueConstraint("tenant_id", "name", name=op.f("uq_sso_connections_tenant_id_name")),
    )
    op.enable_tenant_rls("sso_connections")
    op.create_table(
        "sso_domains",
        sa.Column("domain", sa.Text(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("confirmed_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.id"], name=op.f("fk_sso_domains_tenant_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("domain", name=op.f("pk_sso_domains")),
    )
    op.grant_runtime("sso_domains", "SELECT")
    op.create_index(
        op.f("ix_sessions_connection_id"),
        "sessions",
        ["connection_id"],
        postgresql_where=sa.text("connection_id IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_index(op.f("ix_sessions_connection_id"), table_name="sessions")
    op.drop_table("sso_domains")
    # Not forced, the policies do not hold for the owner, who would else change no row, and not be told.
    for table in ("tenants", "memberships"):
        op.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
    op.execute("UPDATE tenants SET required_connection = NULL WHERE required_connection IS NOT NULL")
    for table in ("tenants", "memberships"):
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    op.drop_table("sso_connections")
