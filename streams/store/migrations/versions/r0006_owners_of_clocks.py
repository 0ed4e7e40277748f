"""Which ticket, or whose touchpoints, a clock's id begins with, also where there is no case."""

import sqlalchemy as sa
from alembic import op

from rules.subjects import case_id

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_PAGE = 1_000


def upgrade() -> None:
    """Name those that are stored already."""
    owner = op.create_table(
        "clock_owner",
        sa.Column("case_id", TEXT, primary_key=True),
        sa.Column("subject", TEXT, nullable=False),
    )
    connection = op.get_bind()
    for kind in ("ticket", "touchpoints"):
        last, end = f"{kind}:", f"{kind};"
        while True:
            query = sa.text(
                "SELECT key FROM subject WHERE key > :last AND key < :end ORDER BY key LIMIT :page"
            )
            found = {"last": last, "end": end, "page": _PAGE}
            keys = list(connection.execute(query, found).scalars())
            if not keys:
                break
            connection.execute(
                owner.insert(), [{"case_id": case_id(key), "subject": key} for key in keys]
            )
            last = keys[-1]
