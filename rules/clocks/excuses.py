"""Excuses: approvals that a breach, or a coming one, shall not count (`clock.excused`)."""

from collections.abc import Mapping, Sequence

from rules.clocks.clock import Excuse
from rules.clocks.judging import HolderAt
from rules.subjects import Contribution, Ordered, case_id


def clock_named(said: Ordered, subject: str) -> str | None:
    """The clock that an excuse names, as `metric/cycle`; None if it is of another subject."""
    case, _, key = str(said.detail.get("clock", "")).partition("/")
    return key if case == case_id(subject) else None


def excuses_among(
    subject: str, contributions: Sequence[Contribution], as_of: int, holder_at: HolderAt
) -> Mapping[str, Excuse]:
    """`metric/cycle` to the first excuse that was given by an instant."""
    found: dict[str, Excuse] = {}
    given = [c for c in contributions if c.type == "clock.excused" and c.time <= as_of]
    for c in sorted(given, key=lambda c: (c.time, c.source, c.id)):
        said = Ordered(*c.data)
        key = clock_named(said, subject)
        if key is not None and key not in found:
            found[key] = Excuse(said.actor, c.time, said.note, said.actor == holder_at(c.time))
    return found
