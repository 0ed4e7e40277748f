"""The ledger in both databases: posted bit by bit it is what a rebuild makes, and days fit."""

import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random
from shutil import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select

from rules.attainment import Outcome, rows_in
from rules.clocks.clock import Clock, Downgrade
from rules.clocks.subject_clocks import clocks_of
from rules.digest.period import week_at
from rules.ledger import Entered
from rules.subjects import read_document
from rules.world import World
from schemas.time import DAY, MINUTE, Instant
from streams.ledger import Ledger
from streams.records import RawRecord
from streams.replay import Replay
from streams.store import Store
from streams.store.ledger import row_name
from streams.store.tables import daily, daily_open, downgrade, escalation, instance, setting
from tests.properties.histories import END, START, Said, make_world, ticket_news, trades
from tests.properties.histories import compiled as policy

PROMISED = {
    "strategic": {
        "first_response": "2bh", "next_response": "4bh", "resolution": "3bd",
        "status_update": "1bd", "touchpoints": [{"kind": "call", "every": "1w"}],
    },
    "growth": {
        "first_response": "12h", "resolution": "48h",
        "overrides": [{"when": {"severity": "high"}, "resolution": "8h"}],
    },
    "standard": {"first_response": "1bd", "next_response": "18h"},
}  # fmt: skip


def world() -> World:
    return make_world((0, policy({"commitments": PROMISED, "clocks": {"status_update": "grid"}})))


def record(said: Said) -> RawRecord:
    return RawRecord("history", said.id, said.json())


def contents(store: Store) -> dict[str, Any]:
    """Everything that the ledger holds, in an order."""
    with store.reading() as tx:
        connection = tx.connection
        keys = set(connection.execute(select(instance.c.subject)).scalars())
        found = {
            "instances": tx.instances_of(keys),
            "downgrades": sorted(map(tuple, connection.execute(select(downgrade)))),
            "escalations": [tuple(r) for r in connection.execute(
                select(escalation).order_by(escalation.c.subject, escalation.c.n))],
        }  # fmt: skip
        for table in (daily, daily_open):
            cells = connection.execute(select(table).where(table.c.n != 0))
            found[table.name] = sorted(tuple(cell) for cell in cells)
        return found


def clocks(store: Store, house: World, as_of: int) -> list[Clock]:
    """Every clock straight from the subjects."""
    found = []
    with store.reading() as tx:
        keys = [row.key for kind in ("ticket", "order", "pattern", "disruption", "metric")
                for row in tx.subjects_of_kind(kind)]  # type: ignore[arg-type]  # fmt: skip
        subjects = tx.load_subjects(keys)
        for key, row in sorted(subjects.items()):
            case = tx.case_of_subject(key)
            steps = [] if case is None or case.shadow else tx.steps(case.case_id)
            document = read_document(row.document)
            found += clocks_of(key, document, house, as_of, steps=steps)
    return found


@pytest.fixture(scope="module")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("ledger") / "empty.db"
    Store.open(f"sqlite:///{file}").close()
    return file


@contextmanager
def fresh(empty: Path, folder: Path) -> Iterator[Store]:
    file = folder / "story.db"
    copy(empty, file)
    with Store.open(f"sqlite:///{file}") as store:
        yield store
    for name in folder.glob("story.db*"):
        name.unlink()


@settings(max_examples=15)
@given(data=st.data())
def test_posted_bit_by_bit_it_holds_what_a_rebuild_holds(
    data: st.DataObject, empty_database: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    house = world()
    events = data.draw(trades(most=10))
    events += data.draw(st.lists(ticket_news("A", "T1"), max_size=5))
    events = [Said(e.type, e.at, e.data, e.source, f"n{n}") for n, e in enumerate(events)]
    events.sort(key=lambda said: (said.at, said.source, said.id))
    with fresh(empty_database, tmp_path_factory.mktemp("db")) as store:
        replay = Replay(store, house.policies, house.recipients, tell=False)
        ledger = Ledger(store, house)
        for said in events:
            replay.run([record(said)])
            if data.draw(st.booleans()):
                drain(ledger, said.at)
        end = Instant(data.draw(st.integers(events[-1].at, END)))
        replay.advance(end)
        drain(ledger, end)
        bit_by_bit = contents(store)
        ledger.rebuild()
        drain(ledger, end)
        assert contents(store) == bit_by_bit
        agrees_with_clocks(store, house, ledger, end)


def agrees_with_clocks(store: Store, house: World, ledger: Ledger, end: int) -> None:
    """The ledger's counts of a week are those of the clocks themselves."""
    week = week_at(end, ledger.zone).shifted(-1)
    expected: Counter[str] = Counter()
    for row in rows_in(clocks(store, house, end), week.begin, week.end):
        expected[str(row.outcome)] += 1
    found: Counter[str] = Counter()
    with store.reading() as tx:
        for cell, n in tx.daily_outcomes(week.first, week.last).items():
            if not cell[2].startswith("touchpoint:"):
                found["breached" if cell[-1] == Entered.OPEN else cell[-1]] += n
    for outcome in (Outcome.NOT_YET_DUE, Outcome.PAUSED):
        expected.pop(str(outcome), None)  # open now, not when the week ended
    assert found == expected


def drain(ledger: Ledger, now: int) -> None:
    for _ in ledger.post_all(Instant(now)):
        pass


# --- both databases -------------------------------------------------------------------------------


def tickets(many: int, seed: int) -> list[RawRecord]:
    """Tickets with replies and states over three weeks."""
    random = Random(seed)
    said: list[Said] = []
    for n in range(many):
        about = {"partner_id": random.choice(("A", "B", "C")), "ticket_id": f"T{n}"}
        at = START + random.randrange(14) * DAY
        said.append(Said("ticket.opened", at, {**about, "category": "quality"}, id=f"o{n}"))
        if random.random() < 0.7:
            reply = {**about, "author": "us", "kind": "reply"}
            said.append(Said("ticket.message", at + random.randrange(2 * DAY), reply, id=f"m{n}"))
        if random.random() < 0.6:
            state = {**about, "status": random.choice(("resolved", "waiting_on_partner"))}
            said.append(Said("ticket.status", at + random.randrange(9 * DAY), state, id=f"s{n}"))
        if not n % 3:
            reply = {**about, "author": "partner", "kind": "reply"}
            said.append(Said("ticket.message", at + 9 * DAY, reply, id=f"p{n}"))
    return [record(each) for each in sorted(said, key=lambda each: each.at)]


def filled(store: Store, house: World, records: Sequence[RawRecord]) -> Instant:
    replay = Replay(store, house.policies, house.recipients, tell=False)
    replay.run(records, Instant(START + 30 * DAY))
    return Instant(START + 30 * DAY)


def test_figures_of_days_are_those_of_the_rows(store: Store) -> None:
    house = world()
    now = filled(store, house, tickets(60, 1))
    ledger = Ledger(store, house)
    drain(ledger, now)
    week = week_at(START + 8 * DAY, ledger.zone)
    with store.reading() as tx:
        rows = tx.instances_falling(week.begin, week.end)
        by_day = tx.daily_outcomes(week.first, week.last)
        assert by_day == tx.outcomes_within(week.begin, week.end)
        assert sum(by_day.values()) == len(rows) > 50
        opened = tx.open_at(week.end)
        assert sum(tx.open_after(week.last).values()) == len(opened) > 0
        assert sum(tx.open_now(now).values()) == len(tx.open_at(now))
        paused = tx.paused_at(week.end)
        assert {row_name(row) for row in paused} == {
            row_name(row) for row in opened if any(pause.covers(week.end) for pause in row.pauses)
        }
        worst = tx.latest_breaches(week.begin, week.end, 5)
        late = sorted(
            (
                row.late_at(week.end)
                for row in rows
                if row.outcome_at(now) is Outcome.BREACHED and not row.escalation_tier
                and row.falls_at != week.end
            ),
            reverse=True,
        )  # fmt: skip
        assert [row.late_at(week.end) for row in worst] == late[:5]
        done = tx.spent("resolution", week.begin, week.end)
        assert sum(map(len, done.values())) == len(
            tx.stopped_between("resolution", week.begin, week.end)
        )
        going_on = tx.not_stopped("resolution", week.end)
        assert sum(n for n, _ in going_on.values()) == len(tx.going_on("resolution", week.end))
        actors = tx.pauses_by_actor(week.begin, week.end)
        pauses = [stop for _, stop in tx.pauses_between(week.begin, week.end)]
        ended = [s for s in pauses if s.ended_at is not None and s.ended_at <= week.end]
        assert sum(n for n, _ in actors.values()) == len(pauses) > len(ended) > 0
        assert sum(time for _, time in actors.values()) == sum(s.counted for s in ended)


def test_who_gave_promises_more_time_stands_beside_them(store: Store) -> None:
    house = world()
    about = {"partner_id": "B", "ticket_id": "T1"}
    said = [
        Said("ticket.opened", START, {**about, "category": "quality", "severity": "high"}, id="o"),
        *(
            Said(
                "ticket.status",
                START + n * MINUTE,
                {
                    **about,
                    "status": "open",
                    "severity": severity,
                    "actor": actor,
                    "agreed_by": agreed_by,
                },
                id=f"s{n}",
            )
            for n, (severity, actor, agreed_by) in enumerate(
                (("low", "olaf", "Mme Petit"), ("high", "vera", None)), 1
            )
        ),
    ]
    replay = Replay(store, house.policies, house.recipients, tell=False)
    replay.run(map(record, said), Instant(START + DAY))
    ledger = Ledger(store, house)
    drain(ledger, START + DAY)
    with store.reading() as tx:
        [(promise, lowered)] = tx.downgrades_between(START, START + MINUTE)
        assert promise.metric == "resolution"
        assert lowered == Downgrade(START + MINUTE, "olaf", "Mme Petit")
        assert promise.outcome_at(START + DAY) is Outcome.BREACHED
        # The word of that instant counts; one of the next period does not.
        assert tx.downgrades_by_actor(START, START + MINUTE) == {"olaf": 1}
        assert tx.downgrades_by_actor(START + MINUTE, START + DAY) == {}
    # Later truth: it had never been high. Nobody lowered anything.
    never = {**about, "status": "open", "severity": "low"}
    replay.run([record(Said("ticket.status", START, never, id="z"))], Instant(START + DAY))
    drain(ledger, START + DAY)
    with store.reading() as tx:
        assert tx.downgrades_by_actor(0, END) == {}


def test_months_stand_for_their_days(store: Store) -> None:
    house = world()
    now = filled(store, house, tickets(40, 2))
    ledger = Ledger(store, house)
    drain(ledger, now)
    first = week_at(START - 60 * DAY, ledger.zone).first
    last = week_at(START + 90 * DAY, ledger.zone).last
    with store.reading() as tx:
        whole = tx.daily_outcomes(first, last)
        assert sum(whole.values()) == len(tx.instances_falling(-1, 2**62))
        single: Counter[Any] = Counter()
        for n in range((last - first).days + 1):
            day = first.fromordinal(first.toordinal() + n)
            single += tx.daily_outcomes(day, day)
    assert whole == single


def test_two_that_post_at_the_same_time_post_each_subject_once(store: Store, other: Store) -> None:
    house = world()
    now = filled(store, house, tickets(80, 3))
    ledgers = [Ledger(opened, house) for opened in (store, other)]
    failed: list[Exception] = []

    def post(ledger: Ledger) -> None:
        try:
            while ledger.post_some(now, 7):
                pass
        except Exception as error:  # noqa: BLE001 - shown below, in the thread that asserts
            failed.append(error)

    threads = [threading.Thread(target=post, args=(ledger,)) for ledger in ledgers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    together = contents(store)
    ledgers[0].rebuild()
    drain(ledgers[0], now)
    assert contents(store) == together


def test_what_is_said_while_somebody_posts_is_posted_afterwards(store: Store) -> None:
    house = world()
    records = tickets(10, 4)
    filled(store, house, records[:-3])
    now = Instant(START + 30 * DAY)
    ledger = Ledger(store, house)
    drain(ledger, now)
    with store.reading() as tx:
        assert tx.count_unposted(now) == 0
    Replay(store, house.policies, house.recipients, tell=False).run(records[-3:], now)
    with store.reading() as tx:
        assert 0 < tx.count_unposted(now) <= 3
    drain(ledger, now)
    once = contents(store)
    with store.transaction() as tx:
        tx.clear_ledger()
        tx.connection.execute(delete(setting))
    drain(Ledger(store, house), now)
    assert contents(store) == once
