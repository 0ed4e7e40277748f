"""A delivery keeps what its route calls the message, so that it can be changed in place."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Add the reference, and the index by which a bundle's cases are found."""
    op.add_column("delivery", sa.Column("reference", TEXT))
    bundled = sa.text("bundle_id IS NOT NULL")
    op.create_index(
        "delivery_bundle", "delivery", ["bundle_id"],
        sqlite_where=bundled, postgresql_where=bundled,
    )  # fmt: skip
