"""Rows count their changes

Revision: 0011, after 0010
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

TABLES = ("tenants", "memberships", "custom_roles", "service_accounts", "api_keys", "invitations", "projects")
BOUND_TENANT = "nullif(current_setting('app.tenant_id', true), '')::uuid"
COLUMNS = """
m.tenant_id, m.user_id AS id, p.name, p.email, coalesce(m.role, m.custom_role) AS role, m.created_at, m.updated_at
"""


def upgrade() -> None:
    for table in TABLES:
        op.add_column(table, sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False))
    make_members(COLUMNS.strip() + ", m.version")


def downgrade() -> None:
    make_members(COLUMNS.strip())
    for table in reversed(TABLES):
        op.drop_column(table, "version")


def make_members(columns: str) -> None:
    """A view cannot lose a column, so it is made anew."""
    op.execute("DROP VIEW IF EXISTS members")
    op.execute(
        f"CREATE VIEW members WITH (security_invoker = true) AS SELECT {columns} FROM memberships m"  # noqa: S608 -- constants
        f" JOIN people p ON p.id = m.user_id WHERE m.tenant_id = (SELECT {BOUND_TENANT})"
    )
    op.grant_runtime("members", "SELECT")
