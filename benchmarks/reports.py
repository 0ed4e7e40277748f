"""Reports over a ledger that holds a year: one week's digest, and a digest of the whole year.

The ledger is filled as posting fills it, with made-up instances; what is measured is a digest from
the store to the finished page.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from random import Random
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

from benchmarks.house import House
from benchmarks.load import PARTNERS, partner
from notifiers.report import to_html
from rules.digest.period import Days, read_period
from rules.ledger import Entered, Escalation, Instance, Pause, Posting
from rules.subjects import case_id
from rules.world import World
from schemas.time import DAY, HOUR, MINUTE, Instant, to_instant
from streams.digests import Digests
from streams.store import Store

_BEGIN = to_instant(datetime(2026, 1, 1, tzinfo=UTC))
_YEAR = 365
#: Instances of one ticket, in microseconds of budget.
_METRICS = {
    "first_response": 4 * HOUR,
    "next_response": 8 * HOUR,
    "status_update": DAY,
    "resolution": 5 * DAY,
}
_TIERS = ("strategic", *["growth"] * 3, *["standard"] * 6)
_PIECE = 5_000


def digest(instances: int) -> dict[str, Any]:
    """Seconds for a week in autumn and for the whole year, from the ledger to an HTML page."""
    house = House()
    with TemporaryDirectory() as folder, Store.open(f"sqlite:///{folder}/ledger.db") as store:
        digests = Digests(store, World(house.policies, house.recipients))
        start = perf_counter()
        rows = _fill(store, digests, instances)
        filled_in = perf_counter() - start
        now = Instant(_BEGIN + (_YEAR + 1) * DAY)
        zone = digests.ledger.zone
        week = [_render(digests, read_period("2026-W42", zone), now) for _ in range(5)]
        year = [_render(digests, read_period("2026", zone), now) for _ in range(3)]
    return {
        "instances": rows,
        "filled_in_s": filled_in,
        "week_s": median(week),
        "year_s": median(year),
    }


def _render(digests: Digests, period: Days, now: Instant) -> float:
    start = perf_counter()
    to_html(digests.draft(period, now).report)
    return perf_counter() - start


def _fill(store: Store, digests: Digests, wanted: int) -> int:
    """Write tickets until there are so many instances. Returns how many there are."""
    digests.ledger.rebuild()
    for _ in digests.ledger.post_all(Instant(_BEGIN)):
        pass
    with store.transaction() as tx:
        for key in list(tx.take_unposted(Instant(2**62), 10 * PARTNERS)):
            # What touchpoints would bring by themselves is not what is measured.
            tx.write_postings({key: Posting((), (), None)}, digests.ledger.zone)
    postings = _tickets(wanted // len(_METRICS))
    written = 0
    while piece := dict(entry for _, entry in zip(range(_PIECE), postings, strict=False)):
        with store.transaction() as tx:
            tx.write_postings(piece, digests.ledger.zone)
        written += sum(len(posting.instances) for posting in piece.values())
    return written


def _tickets(many: int) -> Iterator[tuple[str, Posting]]:
    random = Random(7)
    for n in range(many):
        number = random.randrange(PARTNERS)
        who, tier = partner(number), _TIERS[number % 10]
        key = f"ticket:{who}:T{n}"
        opened = _BEGIN + random.randrange(_YEAR * DAY // MINUTE) * MINUTE
        rows = tuple(
            _instance(random, key, who, tier, metric, opened, budget)
            for metric, budget in _METRICS.items()
        )
        asked = (_escalation(random, key, who, tier, opened),) if not n % 25 else ()
        yield key, Posting(rows, asked, None)


def _instance(
    random: Random, key: str, who: str, tier: str, metric: str, opened: int, budget: int
) -> Instance:
    due = opened + budget
    took = int(budget * random.uniform(0.1, 1.07))
    late = took > budget
    excused = late and not random.randrange(20)
    entered = Entered.EXCUSED if excused else Entered.BREACHED if late else Entered.MET
    stopped = opened + took
    pauses: tuple[Pause, ...] = ()
    if not random.randrange(10):
        pauses = (Pause(opened + MINUTE, opened + HOUR, "waiting on partner", "/helpdesk", HOUR),)
    return Instance(
        key, metric, "1", "ticket", who, tier, "", "us", "account_manager", "account_manager",
        "4bh", entered, due, min(due, stopped), opened, stopped, due if late else None, False, "",
        took, 0, "claire" if excused else None, stopped if excused else None, None, False, pauses,
    )  # fmt: skip


def _escalation(random: Random, key: str, who: str, tier: str, opened: int) -> Escalation:
    asked = opened + DAY
    return Escalation(
        key, 1, case_id(key), "ticket", who, tier, "management", "partnership_manager",
        random.choice(("late-delivery", "order-impact", "unanswered")), "opened", "", None, asked,
        asked, asked + HOUR, "claire", False, asked + 3 * DAY, "resolved", False,
    )  # fmt: skip
