"""Invitations, and views by which members have names

Revision: 0008, after 0007
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

BOUND_TENANT = "nullif(current_setting('app.tenant_id', true), '')::uuid"
# Views look with the rights of whoever asks, so the policies of `memberships` hold for `members` too. There are two,
# and with an OR between them PostgreSQL reads all memberships: the condition lets those of the tenant lead.
PEOPLE = "CREATE VIEW people WITH (security_invoker = true) AS SELECT u.id, u.name, u.email FROM users u"
MEMBERS = f"""
CREATE VIEW members WITH (security_invoker = true) AS
SELECT m.tenant_id, m.user_id AS id, p.name, p.email, coalesce(m.role, m.custom_role) AS role,
       m.created_at, m.updated_at
  FROM memberships m
  JOIN people p ON p.id = m.user_id
 WHERE m.tenant_id = (SELECT {BOUND_TENANT})
"""  # noqa: S608 -- a constant


def upgrade() -> None:
    for view, definition in (("people", PEOPLE), ("members", MEMBERS)):
        op.execute(definition)
        op.grant_runtime(view, "SELECT")
    op.create_table(
        "invitations",
        sa.Column("tenant_id", sa.Uuid(), server_default=sa.text(BOUND_TENANT), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("built_in_role", sa.Text(), nullable=True),
        sa.Column("custom_role", sa.Text(), nullable=True),
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("invited_by", sa.Uuid(), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("num_nonnulls(built_in_role, custom_role) = 1", name=op.f("ck_invitations_role")),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_invitations_tenant_id")),
        sa.ForeignKeyConstraint(["built_in_role"], ["roles.name"], name=op.f("fk_invitations_built_in_role")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "custom_role"],
            ["custom_roles.tenant_id", "custom_roles.name"],
            name=op.f("fk_invitations_tenant_id_custom_role"),
            onupdate="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_invitations")),
        sa.UniqueConstraint("tenant_id", "email", name=op.f("uq_invitations_tenant_id_email")),
        sa.UniqueConstraint("tenant_id", "token_hash", name=op.f("uq_invitations_tenant_id_token_hash")),
    )
    op.create_index(op.f("ix_invitations_tenant_id_created_at_id"), "invitations", ["tenant_id", "created_at", "id"])
    op.enable_tenant_rls("invitations")


def downgrade() -> None:
    op.drop_table("invitations")
    op.execute("DROP VIEW members")
    op.execute("DROP VIEW people")
