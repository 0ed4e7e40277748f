"""Pauses are looked for by when they ended: the time of one counts in the week in which it ends."""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Change the indexes."""
    op.drop_index("pause_started", "pause")
    op.drop_index("pause_ended", "pause")
    op.create_index("pause_ended", "pause", ["ended_at", "started_at", "actor", "counted"])
