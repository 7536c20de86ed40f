"""The words of projects, for their search

Revision: 0012, after 0011
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    words = sa.Computed("to_tsvector('simple'::regconfig, name || ' ' || description)", persisted=True)
    op.add_column("projects", sa.Column("search", postgresql.TSVECTOR(), words, nullable=False))


def downgrade() -> None:
    op.drop_column("projects", "search")
