"""Every table of the store.

Instants are BIGINT microseconds UTC. Whatever has structure is JSON text. Decimals inside it are
text, in both dialects.
"""

import re
from decimal import Decimal
from typing import Any

import msgspec
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Dialect,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    TypeDecorator,
    text,
)
from sqlalchemy import Text as AnyText

metadata = MetaData()

# SQLite counts rows by itself only in a column that is declared INTEGER.
Serial = BigInteger().with_variant(Integer, "sqlite")
Moment = BigInteger


def _plain(value: object) -> str:
    if isinstance(value, Decimal):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no place in a stored document")


# Compared letter by letter in both databases, whatever language the server speaks.
_Letters = AnyText().with_variant(AnyText(collation="C"), "postgresql")
# What PostgreSQL, or UTF-8, cannot keep in a text: NUL and halves of surrogate pairs.
_UNKEPT = re.compile(r"[\x00\ud800-\udfff]")


def kept(value: str | None) -> str | None:
    """A text as a column of it keeps it."""
    if value is None or (type(value) is str and value.isascii() and "\x00" not in value):
        return value  # nearly every one
    return _UNKEPT.sub("\N{REPLACEMENT CHARACTER}", value)


class Text(TypeDecorator[str]):
    """Text. A character that a database cannot keep is stored as U+FFFD, in both dialects.

    Ids hold none: they are refused when an event is read. What people and other programs write
    (a note, an error, the name of an unknown type) may.
    """

    impl = _Letters  # type: ignore[mutable-override]  # how SQLAlchemy wants it said
    cache_ok = True  # type: ignore[mutable-override]  # as above

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002 - SQLAlchemy's signature
        return kept(value)


def to_json(value: Any) -> str | None:
    """A document as a column of it keeps it."""
    return None if value is None else msgspec.json.encode(value, enc_hook=_plain).decode()


class Json(TypeDecorator[Any]):
    """A JSON document as text, read back as plain lists and dicts; a Decimal comes back as text."""

    impl = AnyText  # type: ignore[mutable-override]  # how SQLAlchemy wants it said
    cache_ok = True  # type: ignore[mutable-override]  # as above

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:  # noqa: ARG002 - SQLAlchemy's signature
        return to_json(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:  # noqa: ARG002 - SQLAlchemy's signature
        return None if value is None else msgspec.json.decode(value)


def _only(condition: str) -> dict[str, Any]:
    """A partial index, said to both dialects."""
    return {"sqlite_where": text(condition), "postgresql_where": text(condition)}


# --- subjects ------------------------------------------------------------------------------------

# The row number is the primary key, not the key: rows then lie in the order in which subjects
# came, so that a delivery finds its order among its neighbours in time, and keys, which may be
# random, move pages of the small index only.
subject = Table(
    "subject",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("key", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("partner_id", Text, nullable=False),
    Column("document", LargeBinary, nullable=False),
    Column("began_at", Moment),
    # Whole weeks since 1970, for orders alone. It leads its index, so that the new orders of all
    # partners go to the few pages of this week instead of one page for each partner.
    Column("began_week", Integer),
    Column("feeds_due", Moment),
    Column("people_due", Moment),
    Column("version", Integer, nullable=False),
    Column("has_case", Boolean, nullable=False),
    Index("subject_key", "key", unique=True),
    Index("subject_feeds_due", "kind", "feeds_due", **_only("feeds_due IS NOT NULL")),
    Index("subject_people_due", "people_due", **_only("people_due IS NOT NULL")),
    Index(
        "subject_order_start",
        "began_week",
        "partner_id",
        "began_at",
        **_only("began_week IS NOT NULL"),
    ),
)

# Tickets and touchpoints by the id with which the ids of their clocks begin.
clock_owner = Table(
    "clock_owner",
    metadata,
    Column("case_id", Text, primary_key=True),
    Column("subject", Text, nullable=False),
)

# What was looked at as a whole in order to decide, e.g. all occurrences of a partner.
guard = Table(
    "guard",
    metadata,
    Column("name", Text, primary_key=True),
    Column("version", BigInteger, nullable=False),
)

occurrence = Table(
    "occurrence",
    metadata,
    Column("dimension", Text, primary_key=True),
    Column("value", Text, primary_key=True),
    Column("partner_id", Text, primary_key=True),
    Column("subject", Text, primary_key=True),
    Column("at", Moment, nullable=False),
    Index("occurrence_at", "partner_id", "dimension", "at"),
)

# --- cases ---------------------------------------------------------------------------------------

conflict_case = Table(
    "conflict_case",
    metadata,
    Column("case_id", Text, primary_key=True),
    Column("subject", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("partner_id", Text, nullable=False),
    Column("partner_tier", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("tier", Text, nullable=False),
    Column("highest_tier", Text, nullable=False),
    Column("owner", Text),
    Column("disputed", Boolean, nullable=False),
    Column("shadow", Boolean, nullable=False),
    Column("parent", Text),
    Column("rules", Json, nullable=False),
    Column("headline", Text, nullable=False),
    Column("opened_at", Moment, nullable=False),
    Column("changed_at", Moment, nullable=False),
    Column("due", Moment),
    Column("waits_for", Text),
    Index("conflict_case_subject", "subject", unique=True),
    Index("conflict_case_partner", "partner_id", "opened_at"),
    Index("conflict_case_state", "state", "tier", "opened_at"),
    Index("conflict_case_kind", "kind", "state"),
    Index("conflict_case_parent", "parent", **_only("parent IS NOT NULL")),
)

step = Table(
    "step",
    metadata,
    Column("case_id", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("n", Integer, nullable=False),
    Column("kind", Text, nullable=False),
    Column("tier", Text, nullable=False),
    Column("at", Moment, nullable=False),
    Column("decided_at", Moment, nullable=False),
    Column("due", Moment),
    Column("actor", Text),
    Column("policy", Text, nullable=False),
    Column("receipt", Json, nullable=False),
    Column("withdrawn_at", Moment),
    Index("step_reported", "kind", "at"),
)

# --- telling people ------------------------------------------------------------------------------

# Columns up to `text` are the Effect as it was decided and never change; the rest is the relay's.
outbox = Table(
    "outbox",
    metadata,
    Column("seq", Serial, primary_key=True),
    Column("effect_id", Text, nullable=False),
    Column("case_id", Text),
    Column("partner_id", Text),
    Column("step", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("tier", Text, nullable=False),
    Column("state", Text),
    Column("urgent", Boolean, nullable=False),
    Column("shadow", Boolean, nullable=False),
    Column("at", Moment, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("due", Moment),
    Column("remind_every", Text),
    Column("remind_at_most", Integer, nullable=False),
    Column("actor", Text),
    Column("text", Json, nullable=False),
    Column("status", Text, nullable=False),
    Column("reason", Text),
    Column("not_before", Moment),
    Column("attempts", Integer, nullable=False),
    Column("last_error", Text),
    Column("remind_at", Moment),
    Column("reminders_sent", Integer, nullable=False),
    Column("sent_at", Moment),
    Column("leased_by", Text),
    Column("leased_until", Moment),
    Index("outbox_effect", "effect_id", unique=True),
    Index("outbox_case", "case_id", "seq"),
    Index("outbox_status", "status", "seq"),
    Index("outbox_queued", "case_id", "role", "seq", **_only("status = 'queued'")),
    Index("outbox_remind", "remind_at", **_only("remind_at IS NOT NULL")),
    Index("outbox_leased", "leased_by", **_only("leased_by IS NOT NULL")),
    sqlite_autoincrement=True,
)

delivery = Table(
    "delivery",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("seq", BigInteger, nullable=False),
    Column("effect_id", Text, nullable=False),
    Column("idempotency_key", Text, nullable=False),
    Column("case_id", Text),
    Column("person", Text, nullable=False),
    Column("route", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("bundle_id", Text),
    Column("attempt", Integer, nullable=False),
    Column("at", Moment, nullable=False),
    Column("detail", Text),
    Column("reference", Text),
    Index("delivery_idempotency_key", "idempotency_key"),
    Index("delivery_case", "case_id"),
    Index("delivery_seq", "seq"),
    Index("delivery_bundle", "bundle_id", **_only("bundle_id IS NOT NULL")),
    sqlite_autoincrement=True,
)

# What other programs are told, until it is sent: written only where somebody sends it.
announcement = Table(
    "announcement",
    metadata,
    Column("seq", Serial, primary_key=True),
    Column("topic", Text, nullable=False),
    Column("key", Text),
    Column("headers", Json, nullable=False),
    Column("value", LargeBinary, nullable=False),
    Column("announcement_id", Text),
    Index("announcement_id", "announcement_id", unique=True),
    sqlite_autoincrement=True,
)

# --- what came in --------------------------------------------------------------------------------

position = Table(
    "position",
    metadata,
    Column("input", Text, primary_key=True),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("offset", BigInteger, nullable=False),
)

journal = Table(
    "journal",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("subject", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("event_id", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("at", Moment, nullable=False),
    Column("recorded_at", Moment, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Index("journal_event", "subject", "source", "event_id", unique=True),
)

rejected = Table(
    "rejected",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("input", Text, nullable=False),
    Column("position", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("value", LargeBinary, nullable=False),
    Column("recorded_at", Moment, nullable=False),
    Column("subject", Text),
    Column("state", Text, nullable=False),
    Column("retried_at", Moment),
    Index("rejected_state", "state", "id"),
    Index("rejected_subject", "subject", **_only("subject IS NOT NULL")),
    sqlite_autoincrement=True,
)

parked = Table(
    "parked",
    metadata,
    Column("case_id", Text, primary_key=True),
    Column("source", Text, primary_key=True),
    Column("event_id", Text, primary_key=True),
    Column("recorded_at", Moment, nullable=False),
    Column("value", LargeBinary, nullable=False),
)

counter = Table(
    "counter",
    metadata,
    Column("what", Text, primary_key=True),
    Column("source", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("n", BigInteger, nullable=False),
)

feed = Table(
    "feed",
    metadata,
    Column("source", Text, primary_key=True),
    Column("last_event_at", Moment, nullable=False),
    Column("last_recorded_at", Moment, nullable=False),
)

# --- what the store was run with -----------------------------------------------------------------


def _versions(name: str) -> Table:
    # A version may be gone back to, so its hash alone does not name a row.
    return Table(
        name,
        metadata,
        Column("hash", Text, primary_key=True),
        Column("active_from", Moment, primary_key=True, autoincrement=False),
        Column("recorded_at", Moment, nullable=False),
        Column("body", LargeBinary, nullable=False),
    )


policy = _versions("policy")
directory = _versions("directory")

token = Table(
    "token",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("hash", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("revoked_at", Moment),
    Index("token_hash", "hash", unique=True),
    sqlite_autoincrement=True,
)

setting = Table(
    "setting",
    metadata,
    Column("key", Text, primary_key=True),
    Column("value", Text, nullable=False),
)

# --- what reports count ---------------------------------------------------------------------------

# Subjects that the ledger must look at: since something was said of them (due 0), or when time
# alone changes what they owe.
unposted = Table(
    "unposted",
    metadata,
    Column("key", Text, primary_key=True),
    Column("due", Moment, nullable=False),
    Index("unposted_due", "due"),
)

instance = Table(
    "instance",
    metadata,
    Column("subject", Text, primary_key=True),
    Column("metric", Text, primary_key=True),
    Column("cycle", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("partner_id", Text, nullable=False),
    Column("partner_tier", Text, nullable=False),
    Column("escalation_tier", Text, nullable=False),
    Column("owed_by", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("holder", Text, nullable=False),
    Column("promised", Text, nullable=False),
    Column("entered", Text, nullable=False),
    Column("falls_at", Moment),
    Column("left_at", Moment),
    Column("started_at", Moment, nullable=False),
    Column("stopped_at", Moment),
    Column("recorded_at", Moment),
    Column("retroactive", Boolean, nullable=False),
    Column("reason", Text, nullable=False),
    Column("spent", BigInteger),
    Column("asked_again", Integer, nullable=False),
    Column("excused_by", Text),
    Column("excused_at", Moment),
    Column("excuse_note", Text),
    Column("excused_by_holder", Boolean, nullable=False),
    Column("promised_for", Text, nullable=False, server_default=""),
    Index("instance_falls", "falls_at"),
    Index("instance_partner", "partner_id", "falls_at"),
    Index("instance_open", "falls_at", **_only("entered = 'open'")),
    # These three hold what is asked of them, so that a year is read from the index alone.
    Index(
        "instance_late",
        "falls_at",
        "escalation_tier",
        "owed_by",
        "stopped_at",
        "subject",
        "metric",
        "cycle",
        **_only("entered IN ('open', 'breached')"),
    ),
    Index(
        "instance_excused",
        "falls_at",
        "excused_by",
        "excused_by_holder",
        **_only("entered = 'excused'"),
    ),
    Index(
        "instance_stopped",
        "metric",
        "stopped_at",
        "entered",
        "started_at",
        "partner_tier",
        "escalation_tier",
        "spent",
    ),
)

pause = Table(
    "pause",
    metadata,
    Column("subject", Text, primary_key=True),
    Column("metric", Text, primary_key=True),
    Column("cycle", Text, primary_key=True),
    Column("n", Integer, primary_key=True, autoincrement=False),
    Column("started_at", Moment, nullable=False),
    Column("ended_at", Moment),
    Column("reason", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("counted", BigInteger, nullable=False),
    Index("pause_ended", "ended_at", "started_at", "actor", "counted"),
)

downgrade = Table(
    "downgrade",
    metadata,
    Column("subject", Text, primary_key=True),
    Column("metric", Text, primary_key=True),
    Column("cycle", Text, primary_key=True),
    Column("n", Integer, primary_key=True, autoincrement=False),
    Column("at", Moment, nullable=False),
    Column("actor", Text, nullable=False),
    Column("agreed_by", Text),
    Index("downgrade_at", "at", "actor"),
)

escalation = Table(
    "escalation",
    metadata,
    Column("subject", Text, primary_key=True),
    Column("n", Integer, primary_key=True, autoincrement=False),
    Column("case_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("partner_id", Text, nullable=False),
    Column("partner_tier", Text, nullable=False),
    Column("tier", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("rule", Text, nullable=False),
    Column("cause", Text, nullable=False),
    Column("because", Text, nullable=False),
    Column("actor", Text),
    Column("opened_at", Moment, nullable=False),
    Column("asked_at", Moment, nullable=False),
    Column("acknowledged_at", Moment),
    Column("acknowledged_by", Text),
    Column("in_bulk", Boolean, nullable=False),
    Column("ended_at", Moment),
    Column("ended_as", Text, nullable=False),
    Column("retracted", Boolean, nullable=False),
    Index("escalation_asked", "asked_at"),
    Index("escalation_ended", "ended_at", "asked_at"),
)

# How many instances fall on a day, in the zone of the reports, kept in step with them. Months stand
# beside the days, as negative numbers, so that a year is read from twelve of them.
daily = Table(
    "daily",
    metadata,
    Column("day", Integer, primary_key=True, autoincrement=False),
    Column("partner_id", Text, primary_key=True),
    Column("partner_tier", Text, primary_key=True),
    Column("metric", Text, primary_key=True),
    Column("escalation_tier", Text, primary_key=True),
    Column("promised_for", Text, primary_key=True),
    Column("entered", Text, primary_key=True),
    Column("n", BigInteger, nullable=False),
)

# By how many more (or fewer) instances were open when a day ended than when it began.
daily_open = Table(
    "daily_open",
    metadata,
    Column("day", Integer, primary_key=True, autoincrement=False),
    Column("partner_tier", Text, primary_key=True),
    Column("metric", Text, primary_key=True),
    Column("escalation_tier", Text, primary_key=True),
    Column("n", BigInteger, nullable=False),
)

# Events by the day that they bear, for holding against the systems that they came from.
daily_events = Table(
    "daily_events",
    metadata,
    Column("day", Integer, primary_key=True, autoincrement=False),
    Column("source", Text, primary_key=True),
    Column("type", Text, primary_key=True),
    Column("n", BigInteger, nullable=False),
)

# Frozen when issued; an issue is never changed, a restatement is another one.
report = Table(
    "report",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("about", Text, primary_key=True),
    Column("issue", Integer, primary_key=True, autoincrement=False),
    Column("issued_at", Moment, nullable=False),
    Column("hash", Text, nullable=False),
    Column("document", LargeBinary, nullable=False),
    Column("evidence", LargeBinary, nullable=False),
)
