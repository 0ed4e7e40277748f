"""Versions for whatever is counted, not partners alone, and leases for several relays."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Keep what partners' versions were under their new names; nothing is leased."""
    op.create_table(
        "guard",
        sa.Column("name", TEXT, nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.execute("INSERT INTO guard SELECT 'partner/' || partner_id, version FROM partner")
    op.drop_table("partner")
    op.add_column("outbox", sa.Column("leased_by", TEXT))
    op.add_column("outbox", sa.Column("leased_until", sa.BigInteger()))
    leased = sa.text("leased_by IS NOT NULL")
    op.create_index(
        "outbox_leased", "outbox", ["leased_by"], sqlite_where=leased, postgresql_where=leased
    )
