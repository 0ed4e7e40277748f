"""Who agreed that a ticket is less urgent."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Make the column. What was said before names nobody."""
    op.add_column("downgrade", sa.Column("agreed_by", TEXT))
