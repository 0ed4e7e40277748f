"""What a batch announces to other programs: decisions, and input that was not taken.

    Handler(..., announce=announce)

It is written in the transaction that decided, so that nothing is announced that was not committed,
nor kept silent that was. `streams.cluster.announcer` sends it. Where nobody asks for it, nothing of
this runs.
"""

from collections.abc import Iterator, Sequence
from hashlib import blake2b
from typing import TypeAlias, get_args

from rules.decision import CaseRow, Changes, Rejected, StepKind, StepRow
from rules.subjects import split_key
from schemas.decisions import Decision, What, decision
from schemas.time import Instant, iso
from streams.records import BrokerRecord, Record, RejectedRecord
from streams.store import Announcement, Topic, Transaction

Header: TypeAlias = tuple[str, bytes]
Headers: TypeAlias = Sequence[Header]

_ANNOUNCED: dict[StepKind, What] = {
    StepKind.OPENED: "opened",
    StepKind.RAISED: "escalated",
    StepKind.ESCALATED: "escalated",
    StepKind.ACKNOWLEDGED: "acknowledged",
    StepKind.BREACHED: "breached",
    StepKind.RESOLVED: "resolved",
    StepKind.CLOSED: "closed",
    StepKind.REOPENED: "reopened",
    StepKind.RETRACTED: "retracted",
}
assert set(_ANNOUNCED.values()) == set(get_args(What)), "every type is announced"

#: Names of the headers that a rejected record bears beside its own.
REASON, KIND, INPUT, POSITION, RECORDED_AT = (
    "detente-reason",
    "detente-kind",
    "detente-input",
    "detente-position",
    "detente-recorded-at",
)
#: Another, where the record with all headers is too large to be sent: bytes that its value had.
CUT = "detente-cut"
#: Bytes of a record that brokers take unless told otherwise, less what surrounds it.
_MOST = 1_000_000
#: Bytes of a reason that go along; the database keeps all of it.
_REASON = 8_192


def announce(
    tx: Transaction, changes: Changes, records: Sequence[Record], decided_at: Instant
) -> None:
    """Keep what these changes announce until it is sent. `records` is the batch they came of."""
    rows = [*_decisions(changes, decided_at), *_rejected(changes, records)]
    if rows:
        tx.add_announcements(rows)


def _decisions(changes: Changes, decided_at: Instant) -> Iterator[Announcement]:
    cases = {case.case_id: case for case in changes.cases}
    for step in changes.steps:
        what = _ANNOUNCED.get(step.kind)
        # A fold gives every step of a case; those that were known keep their decision time.
        if what is None or step.decided_at != decided_at or step.withdrawn_at is not None:
            continue
        case = cases.get(step.case_id)
        if case is None or case.shadow:
            continue
        said = _decision(what, step, case)
        body = said.model_dump_json().encode()
        headers = [("content-type", b"application/cloudevents+json; charset=utf-8")]
        yield Announcement(Topic.DECISIONS, said.partitionkey, headers, body, said.id)


def _decision(what: What, step: StepRow, case: CaseRow) -> Decision:
    kind, _, name = split_key(case.subject)
    receipt = step.receipt
    why = receipt.get("why")
    # A step that was withdrawn and is taken again has its key again, at another time.
    named = f"{step.case_id}|{step.key}|{step.decided_at}"
    return decision(
        what,
        id=blake2b(named.encode(), digest_size=12).hexdigest(),
        time=iso(step.at),
        subject=step.case_id,
        partitionkey=case.partner_id or case.case_id,
        data={
            "case_id": step.case_id,
            "partner_id": case.partner_id,
            "partner_tier": case.partner_tier,
            "subject": {"kind": str(kind), "name": name},
            "headline": case.headline,
            "state": str(case.state),
            "tier": step.tier,
            "owner": case.owner,
            "rules": list(case.rules),
            "parent": case.parent,
            "decided_at": iso(step.decided_at),
            "due": None if step.due is None else iso(step.due),
            "actor": step.actor,
            "policy": step.policy,
            "summary": str(receipt.get("summary") or ""),
            "why": list(why) if isinstance(why, list | tuple) else [],
            "step": step.key,
        },
    )


def _rejected(changes: Changes, records: Sequence[Record]) -> Iterator[Announcement]:
    if not changes.rejected:
        return
    sent = {(r.input, r.position): r for r in records}
    for entry in changes.rejected:
        record = sent.get((entry.input, entry.position))
        if record is None:
            continue  # no record of this batch: a deadline that could not be decided
        own = record.headers if isinstance(record, BrokerRecord | RejectedRecord) else ()
        headers, value = _fitting(own, list(_about(entry)), record.value)
        yield Announcement(Topic.REJECTED, None, headers, value, None)


def _fitting(own: Headers, about: Headers, value: bytes) -> tuple[list[Header], bytes]:
    """A record that can be sent: what is too large for that would hold up all that follows."""
    room = _MOST - _size(about)
    kept = own if _size(own) <= room else ()
    room -= _size(kept)
    if kept is own and len(value) <= room:
        return [*own, *about], value
    return [*kept, *about, (CUT, str(len(value)).encode())], value[:room]


def _size(headers: Headers) -> int:
    return sum(len(name) + len(text) for name, text in headers)


def _about(entry: Rejected) -> Iterator[tuple[str, bytes]]:
    said = {
        REASON: entry.reason[:_REASON],
        KIND: entry.kind,
        INPUT: entry.input,
        POSITION: entry.position,
        RECORDED_AT: iso(entry.recorded_at),
    }
    for name, text in said.items():
        yield name, text.encode("utf-8", "replace")
