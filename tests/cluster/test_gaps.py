"""After a gap in which nobody could send, sources get time to catch up, as in an embedded service.

The stories of tests/acceptance/test_feeds.py, on what a worker decides with.
"""

import asyncio
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from detente.cli import cli
from detente.desk import feed_watch
from rules.decision import Kind
from schemas.time import DAY, HOUR, MINUTE, SECOND, Instant, to_instant
from streams.cluster.deciding import Deciding
from streams.cluster.gaps import BROKERS, note_open, note_sources
from streams.cluster.read_past import ReadPast
from streams.feeds import INTAKE, OPEN, last_gap
from streams.horizon import LAST_ALIVE, FeedReport
from streams.outcome import Accepted
from streams.records import RawRecord
from streams.store import DOCUMENTS, Store
from tests.cluster.cluster import Cluster, until
from tests.cluster.test_deadlines import Clock, came, opened, promised
from tests.cluster.trade import BEGIN, documents, event, routed
from tests.rigs.kafka import KafkaServer

GRACE = 5 * MINUTE
SOON = to_instant(BEGIN)
DUE = to_instant(BEGIN.replace(year=2026, month=3, day=6, hour=9))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(f"sqlite:///{tmp_path / 'gaps.db'}") as made:
        yield made


def gap(store: Store) -> tuple[Instant | None, Instant | None]:
    with store.reading() as tx:
        return last_gap(tx)


def at(seconds: float) -> Instant:
    return Instant(SOON + int(seconds * SECOND))


# -- what is a gap ---------------------------------------------------------------------------------


def test_as_long_as_somebody_sees_the_brokers_there_is_no_gap(store: Store) -> None:
    assert gap(store) == (None, None)
    for seconds in range(0, 100, 2):  # two workers, whose clocks do not agree
        note_open(store, BROKERS, at(seconds))
        note_open(store, BROKERS, at(seconds - 4))
    assert gap(store) == (at(0), None)


def test_a_gap_lasts_from_the_last_to_the_next_who_sees_them(store: Store) -> None:
    note_open(store, BROKERS, at(0))
    note_open(store, BROKERS, at(15))
    assert gap(store) == (at(0), None)
    note_open(store, BROKERS, at(75))
    note_open(store, BROKERS, at(75.3))  # another finds it too
    note_open(store, BROKERS, at(90))
    assert gap(store) == (at(75), at(15))


def test_an_intake_that_was_away_is_a_gap_and_one_that_is_new_is_none(store: Store) -> None:
    for seconds in range(0, 1_000, 5):
        note_open(store, BROKERS, at(seconds))
    note_open(store, INTAKE, at(900))
    assert gap(store) == (at(0), None)
    note_open(store, INTAKE, at(1_000))
    assert gap(store) == (at(1_000), at(900))


def test_a_service_that_became_a_cluster_was_away_meanwhile(store: Store) -> None:
    with store.transaction() as tx:
        tx.put_setting(LAST_ALIVE, str(at(-600)))
    note_open(store, BROKERS, at(0))
    assert gap(store) == (at(0), at(-600))


def seen_until(store: Store, at: Instant, way: str = BROKERS) -> None:
    """Others have seen a way open all the time until then: a clock that jumps is no gap."""
    with store.transaction() as tx:
        tx.put_setting(OPEN + way, str(at))


# -- what follows ----------------------------------------------------------------------------------


class Workers:
    """What workers decide with, on a clock that the test moves. The one input is idle."""

    def __init__(self, store: Store, sources: str = "") -> None:
        policy, directory = documents("5min", sources)
        with store.transaction() as tx:
            tx.add_policy(policy.digest, policy.body, Instant(0), Instant(0))
            tx.add_directory(directory.digest, directory.body, Instant(0), Instant(0))
            tx.bump(DOCUMENTS)
        self._store = store
        self.clock = Clock(SOON)
        self.start()

    def start(self) -> None:
        """A new worker; nobody else runs."""
        self._read_past = ReadPast()
        self._deciding = Deciding(self._store, self._read_past, self.clock)

    def go_on(self, now: Instant) -> None:
        """Look again, and nobody was away meanwhile."""
        seen_until(self._store, Instant(now - SECOND))
        self.look(now)

    def look(self, now: Instant, *, are_brokers_away: bool = False) -> None:
        """Look at the deadlines, as each worker does every second."""
        self.clock.now = now
        if are_brokers_away:
            self._deciding.look(["orders"])
        else:
            self._read_past.asked(now, {("orders", 0): 0})
            self._deciding.look(["orders"], now)
        while self._deciding.tick():
            pass

    def given(self, *events: bytes) -> None:
        records = [RawRecord("orders", f"{n}", body) for n, body in enumerate(events)]
        for outcome in self._deciding.take(records, self.clock.now):
            assert isinstance(outcome, Accepted), outcome

    def late(self) -> list[str]:
        """The orders that are late."""
        with self._store.reading() as tx:
            return sorted(case.subject.rpartition(":")[2] for case in tx.cases_of_kind(Kind.ORDER))


@pytest.mark.parametrize("are_workers_there", [False, True], ids=["all away", "brokers away"])
def test_a_backlog_after_a_gap_raises_no_false_alarm(
    store: Store, *, are_workers_there: bool
) -> None:
    work = Workers(store)
    work.look(SOON)
    work.given(promised(1), promised(2), promised(3))
    work.look(SOON)
    back = Instant(DUE + HOUR)
    if are_workers_there:
        for hours in range(3):
            work.look(Instant(DUE - HOUR + hours * HOUR), are_brokers_away=True)
        assert work.late() == []
    else:
        work.start()
    work.look(back)
    assert work.late() == []
    work.go_on(Instant(back + MINUTE))
    work.given(came(1))
    work.go_on(Instant(back + 2 * MINUTE))
    work.given(came(2))
    work.go_on(Instant(back + GRACE - SECOND))
    assert work.late() == []
    work.go_on(Instant(back + GRACE + SECOND))
    assert work.late() == ["PO-3"]


def test_another_policy_does_not_make_a_gap_forgotten(store: Store) -> None:
    work = Workers(store)
    work.look(SOON)
    work.given(promised(1))
    work.start()
    back = Instant(DUE + HOUR)
    work.look(back)
    policy, _ = documents("6min")
    with store.transaction() as tx:
        tx.add_policy(policy.digest, policy.body, back, back)
        tx.bump(DOCUMENTS)
    sent = event("delivery.dispatched", BEGIN, "PO-1-sent", partner_id="partner-1",
                 order_id="PO-1", delivery_id="D1")  # fmt: skip
    work.given(sent)
    assert work.late() == []


def test_a_source_that_has_caught_up_is_not_waited_for(store: Store) -> None:
    work = Workers(store)
    work.look(SOON)
    work.given(promised(1))
    back = Instant(DUE + HOUR)
    work.start()
    work.look(back)
    assert work.late() == []
    work.clock.now = Instant(back + SECOND)
    after = BEGIN + timedelta(microseconds=back + SECOND - SOON)
    work.given(event("order.placed", after, "PO-9-placed", partner_id="partner-1",
                     order_id="PO-9", promised_at="2099-01-01T00:00:00Z",
                     lines=[{"sku": "bolt", "quantity": "1"}]))  # fmt: skip
    work.look(Instant(back + 2 * SECOND))
    assert work.late() == ["PO-1"]


def test_a_source_that_never_spoke_holds_from_when_it_should_have(store: Store) -> None:
    """What fell due until then is decided: nothing is known of it that speaks against that."""
    work = Workers(store, "sources: {/carrier: {cadence: 3d, about: [orders]}}\n")
    work.look(Instant(DUE - DAY))
    work.given(promised(1))
    work.go_on(Instant(DUE + HOUR))
    assert work.late() == ["PO-1"]
    work.go_on(Instant(DUE + 2 * DAY + HOUR))
    work.given(promised(2))
    work.go_on(Instant(DUE + 4 * DAY))
    assert work.late() == ["PO-1"]


def test_while_no_intake_is_open_nothing_is_late_that_it_may_bring(store: Store) -> None:
    work = Workers(store)
    note_sources(store, ["/erp"])
    note_open(store, INTAKE, SOON)
    work.look(SOON)
    work.given(promised(1), promised(2))
    shut = Instant(DUE - HOUR)
    seen_until(store, shut, INTAKE)
    for hours in range(3):
        work.go_on(Instant(shut + hours * HOUR))
    assert work.late() == []
    assert report(store, work.clock.now).is_shut
    back = Instant(shut + 3 * HOUR)
    note_open(store, INTAKE, back)
    work.go_on(Instant(back + SECOND))
    assert not report(store, work.clock.now).is_shut
    work.given(came(1))
    for since, late in ((GRACE - SECOND, []), (GRACE + SECOND, ["PO-2"])):
        seen_until(store, Instant(back + since), INTAKE)
        work.go_on(Instant(back + since))
        assert work.late() == late


@pytest.mark.parametrize("how", ["by itself", "by command"])
def test_a_source_that_leaves_the_intakes_does_not_wait_for_them(store: Store, how: str) -> None:
    work = Workers(store)
    note_sources(store, ["/erp"])
    note_open(store, INTAKE, SOON)
    work.look(SOON)
    work.given(promised(1))
    work.go_on(Instant(DUE + HOUR))
    assert work.late() == []
    listed = feeds(store)
    assert (listed["state"], listed["held"]) == ("no intake is open", 1)
    if how == "by itself":
        now = BEGIN + timedelta(microseconds=DUE + HOUR - SOON)
        work.given(event("order.placed", now, "PO-9-placed", partner_id="partner-1",
                         order_id="PO-9", promised_at="2099-01-01T00:00:00Z",
                         lines=[{"sku": "bolt", "quantity": "1"}]))  # fmt: skip
    else:
        assert feeds(store, "--release", "/erp")["state"] == "heard"
        again = run(store, "--release", "/erp")
        assert again.exit_code == 1
        assert "'/erp' does not send by an intake; those that do: none" in again.output
    work.go_on(Instant(DUE + HOUR + SECOND))
    assert work.late() == ["PO-1"]


def report(store: Store, now: Instant) -> FeedReport:
    """The one source, as alarms see it."""
    with store.reading() as tx:
        return feed_watch(tx, documents("5min")[0].compiled.document).report("/erp", now)


def run(store: Store, *options: str) -> Result:
    """`detente feeds`, an hour after the orders are due."""
    options = ("feeds", "--db", str(store.url), *options)
    return CliRunner().invoke(cli, options, obj=lambda: DUE + HOUR)


def feeds(store: Store, *options: str) -> dict[str, Any]:
    """The one source, as the command shows it."""
    done = run(store, "--json", *options)
    assert done.exit_code == 0, done.output
    [listed] = json.loads(done.output)["feeds"]
    found: dict[str, Any] = listed
    return found


async def test_workers_that_come_back_wait_for_what_could_not_be_sent(
    kafka: KafkaServer, postgres_url: str, tmp_path: Path
) -> None:
    trading = await Cluster.make(kafka.brokers, postgres_url, tmp_path)
    trading.establish(*documents("5min"))
    async with trading.worker_inside(Clock(SOON)):
        await trading.produce(routed(trading.kafka, [promised(n) for n in range(3)]))
        await trading.drained()
    clock = Clock(Instant(DUE + HOUR))
    async with trading.worker_inside(clock) as worker:
        await until(lambda: gap(worker.store)[1])
        await trading.produce(routed(trading.kafka, [came(0), came(1)]))
        await trading.drained()
        soon, over = (Instant(clock.now + GRACE + by) for by in (-SECOND, SECOND))
        await asyncio.to_thread(seen_until, worker.store, soon)
        clock.now = soon
        await until(lambda: worker.read_past.until == soon)
        assert await asyncio.to_thread(opened, trading) == []
        clock.now = over
        await until(lambda: opened(trading) == ["PO-2"])
