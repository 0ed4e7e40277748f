"""The first schema: subjects, cases, the outbox, what came in and what the service was run with."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
# Compared letter by letter in both databases.
TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def only(condition: str) -> dict[str, Any]:
    """A partial index, said to both dialects."""
    return {"sqlite_where": sa.text(condition), "postgresql_where": sa.text(condition)}


def upgrade() -> None:
    """Make every table of an empty database."""
    op.create_table(
        "conflict_case",
        sa.Column("case_id", TEXT, nullable=False),
        sa.Column("subject", TEXT, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("partner_id", TEXT, nullable=False),
        sa.Column("partner_tier", TEXT, nullable=False),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("tier", TEXT, nullable=False),
        sa.Column("highest_tier", TEXT, nullable=False),
        sa.Column("owner", TEXT),
        sa.Column("disputed", sa.Boolean(), nullable=False),
        sa.Column("shadow", sa.Boolean(), nullable=False),
        sa.Column("parent", TEXT),
        sa.Column("rules", sa.Text(), nullable=False),
        sa.Column("headline", TEXT, nullable=False),
        sa.Column("opened_at", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.Column("due", sa.BigInteger()),
        sa.Column("waits_for", TEXT),
        sa.PrimaryKeyConstraint("case_id"),
    )
    op.create_index("conflict_case_kind", "conflict_case", ["kind", "state"])
    op.create_index(
        "conflict_case_parent", "conflict_case", ["parent"], **only("parent IS NOT NULL")
    )
    op.create_index("conflict_case_partner", "conflict_case", ["partner_id", "opened_at"])
    op.create_index("conflict_case_state", "conflict_case", ["state", "tier", "opened_at"])
    op.create_index("conflict_case_subject", "conflict_case", ["subject"], unique=True)
    op.create_table(
        "counter",
        sa.Column("what", TEXT, nullable=False),
        sa.Column("source", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("what", "source", "name"),
    )
    op.create_table(
        "delivery",
        sa.Column("id", SERIAL, nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("effect_id", TEXT, nullable=False),
        sa.Column("idempotency_key", TEXT, nullable=False),
        sa.Column("case_id", TEXT),
        sa.Column("person", TEXT, nullable=False),
        sa.Column("route", TEXT, nullable=False),
        sa.Column("status", TEXT, nullable=False),
        sa.Column("bundle_id", TEXT),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("detail", TEXT),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index("delivery_case", "delivery", ["case_id"])
    op.create_index("delivery_idempotency_key", "delivery", ["idempotency_key"])
    op.create_index("delivery_seq", "delivery", ["seq"])
    op.create_table(
        "directory",
        sa.Column("hash", TEXT, nullable=False),
        sa.Column("active_from", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("hash", "active_from"),
    )
    op.create_table(
        "feed",
        sa.Column("source", TEXT, nullable=False),
        sa.Column("last_event_at", sa.BigInteger(), nullable=False),
        sa.Column("last_recorded_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("source"),
    )
    op.create_table(
        "journal",
        sa.Column("id", SERIAL, nullable=False),
        sa.Column("subject", TEXT, nullable=False),
        sa.Column("source", TEXT, nullable=False),
        sa.Column("event_id", TEXT, nullable=False),
        sa.Column("type", TEXT, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("journal_event", "journal", ["subject", "source", "event_id"], unique=True)
    op.create_table(
        "occurrence",
        sa.Column("dimension", TEXT, nullable=False),
        sa.Column("value", TEXT, nullable=False),
        sa.Column("partner_id", TEXT, nullable=False),
        sa.Column("subject", TEXT, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("dimension", "value", "partner_id", "subject"),
    )
    op.create_table(
        "outbox",
        sa.Column("seq", SERIAL, nullable=False),
        sa.Column("effect_id", TEXT, nullable=False),
        sa.Column("case_id", TEXT),
        sa.Column("partner_id", TEXT),
        sa.Column("step", TEXT, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("role", TEXT, nullable=False),
        sa.Column("tier", TEXT, nullable=False),
        sa.Column("state", TEXT),
        sa.Column("urgent", sa.Boolean(), nullable=False),
        sa.Column("shadow", sa.Boolean(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("due", sa.BigInteger()),
        sa.Column("remind_every", TEXT),
        sa.Column("remind_at_most", sa.Integer(), nullable=False),
        sa.Column("actor", TEXT),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("status", TEXT, nullable=False),
        sa.Column("reason", TEXT),
        sa.Column("not_before", sa.BigInteger()),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("last_error", TEXT),
        sa.Column("remind_at", sa.BigInteger()),
        sa.Column("reminders_sent", sa.Integer(), nullable=False),
        sa.Column("sent_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("seq"),
        sqlite_autoincrement=True,
    )
    op.create_index("outbox_case", "outbox", ["case_id", "seq"])
    op.create_index("outbox_effect", "outbox", ["effect_id"], unique=True)
    op.create_index(
        "outbox_queued", "outbox", ["case_id", "role", "seq"], **only("status = 'queued'")
    )
    op.create_index("outbox_remind", "outbox", ["remind_at"], **only("remind_at IS NOT NULL"))
    op.create_index("outbox_status", "outbox", ["status", "seq"])
    op.create_table(
        "parked",
        sa.Column("case_id", TEXT, nullable=False),
        sa.Column("source", TEXT, nullable=False),
        sa.Column("event_id", TEXT, nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("case_id", "source", "event_id"),
    )
    op.create_table(
        "partner",
        sa.Column("partner_id", TEXT, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("partner_id"),
    )
    op.create_table(
        "policy",
        sa.Column("hash", TEXT, nullable=False),
        sa.Column("active_from", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("hash", "active_from"),
    )
    op.create_table(
        "position",
        sa.Column("input", TEXT, nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("offset", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("input", "partition"),
    )
    op.create_table(
        "rejected",
        sa.Column("id", SERIAL, nullable=False),
        sa.Column("input", TEXT, nullable=False),
        sa.Column("position", TEXT, nullable=False),
        sa.Column("reason", TEXT, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.Column("subject", TEXT),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("retried_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index("rejected_state", "rejected", ["state", "id"])
    op.create_index("rejected_subject", "rejected", ["subject"], **only("subject IS NOT NULL"))
    op.create_table(
        "setting",
        sa.Column("key", TEXT, nullable=False),
        sa.Column("value", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_table(
        "step",
        sa.Column("case_id", TEXT, nullable=False),
        sa.Column("key", TEXT, nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("tier", TEXT, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("decided_at", sa.BigInteger(), nullable=False),
        sa.Column("due", sa.BigInteger()),
        sa.Column("actor", TEXT),
        sa.Column("policy", TEXT, nullable=False),
        sa.Column("receipt", sa.Text(), nullable=False),
        sa.Column("withdrawn_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("case_id", "key"),
    )
    op.create_table(
        "subject",
        sa.Column("id", SERIAL, nullable=False),
        sa.Column("key", TEXT, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("partner_id", TEXT, nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        sa.Column("began_at", sa.BigInteger()),
        sa.Column("began_week", sa.Integer()),
        sa.Column("feeds_due", sa.BigInteger()),
        sa.Column("people_due", sa.BigInteger()),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("has_case", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "subject_feeds_due", "subject", ["kind", "feeds_due"], **only("feeds_due IS NOT NULL")
    )
    op.create_index("subject_key", "subject", ["key"], unique=True)
    op.create_index(
        "subject_order_start",
        "subject",
        ["began_week", "partner_id", "began_at"],
        **only("began_week IS NOT NULL"),
    )
    op.create_index(
        "subject_people_due", "subject", ["people_due"], **only("people_due IS NOT NULL")
    )
    op.create_table(
        "token",
        sa.Column("id", SERIAL, nullable=False),
        sa.Column("hash", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("revoked_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index("token_hash", "token", ["hash"], unique=True)
