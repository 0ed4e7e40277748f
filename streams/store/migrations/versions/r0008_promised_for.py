"""Which tickets a promise is for, where a policy promises more for some: attainment by severity."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_KEY = (
    "day", "partner_id", "partner_tier", "metric", "escalation_tier", "promised_for", "entered",
)  # fmt: skip


def upgrade() -> None:
    """Make the columns. Whoever reads the ledger first makes all of it anew."""
    op.add_column("instance", sa.Column("promised_for", TEXT, nullable=False, server_default=""))
    op.drop_table("daily")
    op.create_table(
        "daily",
        sa.Column("day", sa.Integer(), nullable=False),
        *(sa.Column(name, TEXT, nullable=False) for name in _KEY[1:]),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(*_KEY),
    )
    op.execute("DELETE FROM setting WHERE key = 'ledger'")
