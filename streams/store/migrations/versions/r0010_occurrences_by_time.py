"""Occurrences are looked for by their time: an order that is known late may change their count."""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the index."""
    op.create_index("occurrence_at", "occurrence", ["partner_id", "dimension", "at"])
