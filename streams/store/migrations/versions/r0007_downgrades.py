"""Who gave a running promise more time, by a word on severity or category."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
# Only tickets have a severity and a category. What was posted of them knows of no downgrades.
_POST_AGAIN = """
INSERT INTO unposted (key, due)
SELECT key, 0 FROM subject WHERE key >= 'ticket:' AND key < 'ticket;'
ON CONFLICT (key) DO UPDATE SET due = 0
"""


def upgrade() -> None:
    """Make the table. It is filled by whoever reads the ledger first."""
    op.create_table(
        "downgrade",
        sa.Column("subject", TEXT, nullable=False),
        sa.Column("metric", TEXT, nullable=False),
        sa.Column("cycle", TEXT, nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("actor", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("subject", "metric", "cycle", "n"),
    )
    op.create_index("downgrade_at", "downgrade", ["at", "actor"])
    op.execute(_POST_AGAIN)
