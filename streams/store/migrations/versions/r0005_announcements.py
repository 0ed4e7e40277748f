"""What is announced to other programs, until it is sent."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Nothing waits yet."""
    op.create_table(
        "announcement",
        sa.Column("seq", SERIAL, nullable=False),
        sa.Column("topic", TEXT, nullable=False),
        sa.Column("key", TEXT),
        sa.Column("headers", sa.Text(), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.Column("announcement_id", TEXT),
        sa.PrimaryKeyConstraint("seq"),
        sqlite_autoincrement=True,
    )
    op.create_index("announcement_id", "announcement", ["announcement_id"], unique=True)
