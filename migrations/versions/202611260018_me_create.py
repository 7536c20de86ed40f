"""Changes of address, confirmed at both ends

Revision: 0018, after 0017
"""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "address_changes",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("old_token_hash", sa.LargeBinary(), nullable=True),
        sa.Column("new_token_hash", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_address_changes_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_address_changes")),
        sa.UniqueConstraint("user_id", name=op.f("uq_address_changes_user_id")),
        sa.UniqueConstraint("old_token_hash", name=op.f("uq_address_changes_old_token_hash")),
        sa.UniqueConstraint("new_token_hash", name=op.f("uq_address_changes_new_token_hash")),
    )
    op.grant_runtime("address_changes", "SELECT", "INSERT", "UPDATE", "DELETE")


def downgrade() -> None:
    op.drop_table("address_changes")
