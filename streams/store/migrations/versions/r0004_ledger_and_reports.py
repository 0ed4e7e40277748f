"""The ledger of commitments, daily figures over it, and the reports that were issued."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def _column(name: str, kind: Any = TEXT, *, empty: bool = False) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=empty)


def _index(name: str, table: str, columns: list[str], only: str | None = None) -> None:
    where = None if only is None else sa.text(only)
    op.create_index(name, table, columns, sqlite_where=where, postgresql_where=where)


def upgrade() -> None:
    """Make the tables. The ledger is filled from the subjects by whoever reads it first."""
    op.create_index("step_reported", "step", ["kind", "at"])
    op.create_table(
        "unposted",
        _column("key"),
        _column("due", sa.BigInteger()),
        sa.PrimaryKeyConstraint("key"),
    )
    _index("unposted_due", "unposted", ["due"])
    _ledger()
    _days()
    op.create_table(
        "report",
        _column("kind"),
        _column("key"),
        _column("about"),
        _column("issue", sa.Integer()),
        _column("issued_at", sa.BigInteger()),
        _column("hash"),
        _column("document", sa.LargeBinary()),
        _column("evidence", sa.LargeBinary()),
        sa.PrimaryKeyConstraint("kind", "key", "about", "issue"),
    )


def _ledger() -> None:
    op.create_table(
        "instance",
        *(
            _column(name)
            for name in (
                "subject",
                "metric",
                "cycle",
                "kind",
                "partner_id",
                "partner_tier",
                "escalation_tier",
                "owed_by",
                "role",
                "holder",
                "promised",
                "entered",
            )
        ),
        _column("falls_at", sa.BigInteger(), empty=True),
        _column("left_at", sa.BigInteger(), empty=True),
        _column("started_at", sa.BigInteger()),
        _column("stopped_at", sa.BigInteger(), empty=True),
        _column("recorded_at", sa.BigInteger(), empty=True),
        _column("retroactive", sa.Boolean()),
        _column("reason"),
        _column("spent", sa.BigInteger(), empty=True),
        _column("asked_again", sa.Integer()),
        _column("excused_by", empty=True),
        _column("excused_at", sa.BigInteger(), empty=True),
        _column("excuse_note", empty=True),
        _column("excused_by_holder", sa.Boolean()),
        sa.PrimaryKeyConstraint("subject", "metric", "cycle"),
    )
    _index("instance_falls", "instance", ["falls_at"])
    _index("instance_partner", "instance", ["partner_id", "falls_at"])
    _index("instance_open", "instance", ["falls_at"], "entered = 'open'")
    _index(
        "instance_late",
        "instance",
        ["falls_at", "escalation_tier", "owed_by", "stopped_at", "subject", "metric", "cycle"],
        "entered IN ('open', 'breached')",
    )
    _index(
        "instance_excused",
        "instance",
        ["falls_at", "excused_by", "excused_by_holder"],
        "entered = 'excused'",
    )
    _index(
        "instance_stopped",
        "instance",
        ["metric", "stopped_at", "entered", "started_at", "partner_tier", "escalation_tier",
         "spent"],
    )  # fmt: skip
    op.create_table(
        "pause",
        _column("subject"),
        _column("metric"),
        _column("cycle"),
        _column("n", sa.Integer()),
        _column("started_at", sa.BigInteger()),
        _column("ended_at", sa.BigInteger(), empty=True),
        _column("reason"),
        _column("actor"),
        _column("counted", sa.BigInteger()),
        sa.PrimaryKeyConstraint("subject", "metric", "cycle", "n"),
    )
    _index("pause_started", "pause", ["started_at", "actor", "counted"])
    _index("pause_ended", "pause", ["ended_at", "started_at"])
    op.create_table(
        "escalation",
        _column("subject"),
        _column("n", sa.Integer()),
        *(
            _column(name)
            for name in (
                "case_id",
                "kind",
                "partner_id",
                "partner_tier",
                "tier",
                "role",
                "rule",
                "cause",
                "because",
            )
        ),
        _column("actor", empty=True),
        _column("opened_at", sa.BigInteger()),
        _column("asked_at", sa.BigInteger()),
        _column("acknowledged_at", sa.BigInteger(), empty=True),
        _column("acknowledged_by", empty=True),
        _column("in_bulk", sa.Boolean()),
        _column("ended_at", sa.BigInteger(), empty=True),
        _column("ended_as"),
        _column("retracted", sa.Boolean()),
        sa.PrimaryKeyConstraint("subject", "n"),
    )
    _index("escalation_asked", "escalation", ["asked_at"])
    _index("escalation_ended", "escalation", ["ended_at", "asked_at"])


def _days() -> None:
    for table, names in (
        ("daily", ("partner_id", "partner_tier", "metric", "escalation_tier", "entered")),
        ("daily_open", ("partner_tier", "metric", "escalation_tier")),
        ("daily_events", ("source", "type")),
    ):
        op.create_table(
            table,
            _column("day", sa.Integer()),
            *map(_column, names),
            _column("n", sa.BigInteger()),
            sa.PrimaryKeyConstraint("day", *names),
        )
