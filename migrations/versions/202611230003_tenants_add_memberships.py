"""Memberships, and the sight of one's own tenants

Revision: 0003, after 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

OWN = "user_id = (SELECT nullif(current_setting('app.user_id', true), '')::uuid)"
OWN_TENANTS = f"id IN (SELECT tenant_id FROM memberships WHERE {OWN})"  # noqa: S608 -- a constant


def upgrade() -> None:
    op.create_table(
        "memberships",
        sa.Column(
            "tenant_id",
            sa.Uuid(),
            server_default=sa.text("nullif(current_setting('app.tenant_id', true), '')::uuid"),
            nullable=False,
        ),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["role"], ["roles.name"], name=op.f("fk_memberships_role")),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_memberships_tenant_id")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_memberships_user_id")),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_memberships")),
        sa.UniqueConstraint("tenant_id", "user_id", name=op.f("uq_memberships_tenant_id_user_id")),
    )
    op.create_index(op.f("ix_memberships_user_id"), "memberships", ["user_id"])
    op.enable_tenant_rls("memberships")
    op.allow_reads("memberships", name="own_memberships", using=OWN)
    op.allow_reads("tenants", name="own_tenants", using=OWN_TENANTS)


def downgrade() -> None:
    op.execute("DROP POLICY own_tenants ON tenants")
    op.drop_table("memberships")
