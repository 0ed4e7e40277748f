"""Events of the past on a virtual clock, and what was found in them. Nobody is told."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from detente.documents import DirectoryFile, Knowledge, PolicyFile
from detente.inputs import Display
from detente.occupancy import Lock, OccupiedError
from detente.output import RefusedError, UnreachableError, remark, say, shown
from rules.decision import State
from rules.policy import PolicyHistory
from schemas.time import Instant, iso
from streams.horizon import LAST_ALIVE, REPLAYED
from streams.records import Record
from streams.replay import Replay, Tally
from streams.sorting import sort_records
from streams.store import STANDING, Store

OPEN = tuple(state for state in STANDING if state is not State.WATCH)
_CASES = tuple(state for state in State if state is not State.WATCH)
_NAMED = 10  # partners, or pieces of rejected input, that a message names


def relive(
    store: Store,
    knowledge: Knowledge,
    records: Iterator[Record],
    shows: Display,
    until: Instant | None = None,
) -> Tally:
    """Take records as if each had come at its own time, and tell nobody.

    They are sorted on disk. `until` lets time go on after the last of them.
    """
    replay = Replay(store, knowledge.policies, knowledge.recipients, tell=False)
    return replay.run(sort_records(shows.reading(records)), until, shows.taking)


def note_time(store: Store, until: Instant | None) -> None:
    """Note up to when a replay let time go on: its reports know nothing later."""
    with store.transaction() as tx:
        stopped = [feed.last_event_at for feed in tx.feeds().values()]
        stopped += [until] if until is not None else []
        tx.put_setting(REPLAYED, str(max(stopped, default=0)))


@contextmanager
def open_past(url: str | None, policy: PolicyFile, directory: DirectoryFile) -> Iterator[Store]:
    """A store for a replay: a temporary one, or the one named, which then keeps what is found.

    Raises RefusedError for the database of a service, UnreachableError if another command is at it.
    """
    if url is None:
        with (
            TemporaryDirectory(prefix="detente-") as folder,
            Store.open(f"sqlite:///{Path(folder) / 'replay.db'}") as store,
        ):
            yield store
        return
    try:
        lock = Lock(url, "detente replay").acquire(2.0)
    except OccupiedError as holder:
        raise UnreachableError(f"the database {url} is in use by {holder}") from None
    with lock, Store.open(url, migrate=True) as store:
        with store.transaction() as tx:
            if tx.setting(LAST_ALIVE) is not None:
                raise RefusedError(
                    f"{url} belongs to a service, and a replay would mix past and present there; "
                    "name another database, or leave --db away. To take the past into it: "
                    "detente import --history"
                )
            tx.add_policy(policy.digest, policy.body, Instant(0), Instant(0))
            tx.add_directory(directory.digest, directory.body, Instant(0), Instant(0))
        yield store


def in_force(policy: PolicyFile, directory: DirectoryFile) -> Knowledge:
    """What to decide with when one policy holds for all time."""
    return Knowledge(PolicyHistory(((Instant(0), policy.compiled),)), directory.recipients)


def findings(store: Store, tally: Tally) -> dict[str, Any]:
    """What stands in a store, counted: the document that `detente replay --json` prints.

    `by_rule` counts standing cases in which the rule matched, `by_tier` the highest tier that
    standing cases reached; a watch is no case yet.
    """
    by_rule: Counter[str] = Counter()
    by_tier: Counter[str] = Counter()
    by_state: Counter[State] = Counter()
    with store.reading() as tx:
        for count in tx.case_counts():
            by_state[count.state] += count.n
            if count.state in OPEN:
                by_tier[count.highest_tier] += count.n
                by_rule.update(dict.fromkeys(count.rules, count.n))
        opened = tx.count_opened(_CASES)
        retracted = tx.count_opened([State.RETRACTED])
        unknown = {c.name: c.n for c in tx.counters("unknown partner")}
        feeds = tx.feeds().values()
    return {
        "events": {
            "read": tally.read,
            "accepted": tally.accepted,
            "duplicate": tally.duplicate,
            "rejected": tally.rejected,
        },
        "cases": {
            "opened": opened,
            "retracted": retracted,
            "settled": by_state[State.RESOLVED] + by_state[State.CLOSED],
            "open": sum(by_state[state] for state in OPEN),
            "watched": by_state[State.WATCH],
            "by_rule": dict(sorted(by_rule.items())),
            "by_tier": dict(sorted(by_tier.items())),
        },
        "last_event_at": iso(max(f.last_event_at for f in feeds)) if feeds else None,
        "unknown_partners": {"count": len(unknown), "first": _most(unknown)},
        "first_rejected": [row._asdict() for row in tally.first_rejected[:_NAMED]],
    }


def _most(unknown: dict[str, int]) -> list[str]:
    return sorted(unknown, key=lambda name: (-unknown[name], name))[:_NAMED]


def warn_of_strangers(document: dict[str, Any], default_tier: str) -> None:
    """One line that names partners whom the directory does not know, the busiest first."""
    unknown = document["unknown_partners"]
    if unknown["count"]:
        named = "; ".join(shown(name) for name in unknown["first"])
        more = unknown["count"] - len(unknown["first"])
        count = f"{unknown['count']} partners are"
        remark(
            f"Warning: {count if unknown['count'] > 1 else '1 partner is'} not in the directory, "
            f"taken with the tier {default_tier}: {named}{f'; and {more} more' if more > 0 else ''}"
        )


def print_findings(document: dict[str, Any]) -> None:
    """The same for people."""
    events, cases = document["events"], document["cases"]
    rows = [
        ("events read", events["read"]),
        ("  taken", events["accepted"]),
        ("  duplicates", events["duplicate"]),
        ("  rejected", events["rejected"]),
        ("cases opened", cases["opened"]),
        ("  retracted, since later events disproved them", cases["retracted"]),
        ("  solved or closed", cases["settled"]),
        ("  open at the end", cases["open"]),
        *((f"    by the rule {rule}", n) for rule, n in cases["by_rule"].items()),
        *((f"    reached the tier {tier}", n) for tier, n in cases["by_tier"].items()),
        ("watched, below the tiers", cases["watched"]),
    ]
    _print_counts(rows)
    if document["first_rejected"]:
        say()
        say("Rejected (the first):")
        for row in document["first_rejected"]:
            say(f"  {shown(row['input'])}, {shown(row['position'])}: {shown(row['reason'])}")


def _print_counts(rows: list[tuple[str, int]]) -> None:
    width = max(len(label) for label, _ in rows)
    for label, n in rows:
        say(f"{label.ljust(width)}  {n:>9,}")
