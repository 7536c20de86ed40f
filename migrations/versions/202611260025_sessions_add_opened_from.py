"""Keep where sessions were opened, which a refresh does not change

Revision: 0025, after 0024
"""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("sessions", sa.Column("opened_from", sa.Text(), server_default="", nullable=False))
    # As near as it is known: else everybody were a stranger until their next log-in, and could be locked out as one.
    op.execute("UPDATE sessions SET opened_from = address WHERE last_used_at > now() - interval '30 days'")


def downgrade() -> None:
    op.drop_column("sessions", "opened_from")
