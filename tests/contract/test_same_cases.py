"""The same events end in the same cases, whichever database keeps them and however many decide."""

import threading
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from detente.documents import load_directory, load_mapping, load_policy
from detente.inputs import read_inputs
from detente.past import in_force
from rules.decision import Kind, StepKind
from rules.patterns import pattern_key
from rules.subjects import case_id, subject_key
from schemas.time import DAY, Instant
from streams.handler import Handler
from streams.horizon import horizon_of_file
from streams.records import RawRecord
from streams.replay import Replay
from streams.sorting import sort_records
from streams.store import Store
from tests.properties.histories import END, START, Said, one_policy, trades
from tests.rigs.postgres import emptied

EXAMPLES = Path(__file__).parents[2] / "examples"
LATER = Instant(END + 30 * DAY)


def stored(store: Store) -> list[list[Any]]:
    """Cases, steps and effects; numbers that a database gives out by itself are left out."""
    with store.reading() as tx:
        cases = tx.list_cases()
        steps = [step for case in cases for step in tx.steps(case.case_id)]
        effects = [entry.effect for entry in tx.list_outbox()]
        occurrences = tx.connection.exec_driver_sql("SELECT * FROM occurrence").fetchall()
    effects.sort(key=lambda effect: effect.effect_id)
    return [cases, steps, effects, sorted(map(tuple, occurrences))]


@pytest.fixture
def sqlite_store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(f"sqlite:///{tmp_path / 'store.db'}") as store:
        yield store


@pytest.fixture
def postgres_store(postgres_url: str) -> Iterator[Store]:
    with Store.open(postgres_url) as store:
        yield store


def test_the_real_data_set(sqlite_store: Store, postgres_store: Store) -> None:
    policy = load_policy(EXAMPLES / "policy.yaml")
    known = in_force(policy, load_directory(EXAMPLES / "directory.yaml", policy.compiled))
    data = EXAMPLES / "scms" / "SCMS_Delivery_History_Dataset.csv.gz"
    mapping = load_mapping(EXAMPLES / "scms" / "by-delivery.yaml")
    for store in (sqlite_store, postgres_store):
        records = sort_records(read_inputs([str(data)], mapping))
        Replay(store, known.policies, known.recipients).run(records)
    expected = stored(sqlite_store)
    assert len(expected[0]) > 500
    assert stored(postgres_store) == expected


def records_of(trade: Sequence[Said]) -> list[RawRecord]:
    return [RawRecord("trade", f"line {n}", said.json()) for n, said in enumerate(trade)]


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(trade=trades())
def test_a_generated_trade_replayed(
    tmp_path_factory: pytest.TempPathFactory, postgres_url: str, trade: list[Said]
) -> None:
    ends = []
    for url in fresh(tmp_path_factory, postgres_url):
        world = one_policy()
        with Store.open(url) as store:
            Replay(store, world.policies, world.recipients).run(records_of(trade), LATER)
            ends.append(stored(store))
    assert ends[0] == ends[1]


def fresh(folders: pytest.TempPathFactory, postgres_url: str) -> Iterator[str]:
    """An empty store of each kind."""
    yield f"sqlite:///{folders.mktemp('store') / 'store.db'}"
    emptied(postgres_url)
    yield postgres_url


# --- what two workers see of each other ----------------------------------------------------------

ROUNDS = 15


def said(type_: str, **data: Any) -> RawRecord:
    number = f"{type_} {sorted(data.items())}"
    event = Said(type_, START + DAY, data, id=number[:200])
    return RawRecord("trade", number, event.json())


def beside_each_other(url: str, *shares: Sequence[RawRecord]) -> None:
    """One worker for each share; they take their next records at the same moment."""
    failed: list[BaseException] = []
    together = threading.Barrier(len(shares))
    policies, recipients = one_policy().policies, one_policy().recipients

    def work(share: Sequence[RawRecord]) -> None:
        try:
            with Store.open(url) as store:
                read_past = partial(horizon_of_file, policies.newest.document)
                handler = Handler(store, policies, recipients, read_past)
                for record in share:
                    together.wait(60)
                    handler.take([record], LATER)
        except BaseException as error:  # noqa: BLE001 - raised below
            failed.append(error)
            together.abort()

    threads = [threading.Thread(target=work, args=(share,)) for share in shares]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]


def placed(partner: str, order: str, sku: str) -> RawRecord:
    lines = [{"sku": sku, "quantity": "10"}]
    return said(
        "order.placed", partner_id=partner, order_id=order, promised_at="2027-12-24", lines=lines
    )


def short(partner: str, order: str, sku: str) -> RawRecord:
    lines = [{"sku": sku, "quantity": "5"}]
    return said("order.impacted", partner_id=partner, order_id=order, kind="short", lines=lines)


def test_one_article_short_at_two_partners_is_one_pattern(
    postgres_url: str, postgres_store: Store
) -> None:
    names = [f"nut-{n}" for n in range(ROUNDS)]
    shares = [[make(partner, f"O-{sku}", sku) for sku in names for make in (placed, short)]
              for partner in ("A", "B", "C")]  # fmt: skip
    beside_each_other(postgres_url, *shares)
    patterns = [case_id(pattern_key("", "repeat-sku/sku", sku)) for sku in names]
    with postgres_store.reading() as tx:
        assert tx.cases(patterns).keys() == set(patterns)


@pytest.mark.parametrize("ahead", [0, 1])
def test_a_disruption_finds_the_orders_that_others_take(
    postgres_url: str, postgres_store: Store, ahead: int
) -> None:
    def late(n: int) -> RawRecord:
        return said("order.placed", partner_id="A", order_id=f"O{n}", promised_at="2026-11-04",
                    lines=[{"sku": "nut", "quantity": "10"}])  # fmt: skip

    def declared(n: int) -> RawRecord:
        return said("disruption.declared", disruption_id=f"X{n}", severity="low",
                    summary="port closed", order_ids=[f"O{n}"])  # fmt: skip

    beside_each_other(postgres_url, [late(n - ahead) for n in range(ROUNDS)],
                      [declared(n) for n in range(ROUNDS)])  # fmt: skip
    with postgres_store.reading() as tx:
        for n in range(ROUNDS - ahead):
            steps = tx.steps(case_id(subject_key(Kind.ORDER, "A", f"O{n}")))
            assert StepKind.ATTACHED in {step.kind for step in steps}


def test_a_command_and_the_event_that_opens_its_case_meet(
    postgres_url: str, postgres_store: Store
) -> None:
    keys = [subject_key(Kind.ORDER, "A", f"O{n}") for n in range(ROUNDS)]
    orders = [placed("A", f"O{n}", "nut") for n in range(ROUNDS)]
    beside_each_other(postgres_url, orders)
    commands = [said("case.assigned", case_id=case_id(key), actor="ops", to="bob") for key in keys]
    beside_each_other(postgres_url, [short("A", f"O{n}", "nut") for n in range(ROUNDS)], commands)
    with postgres_store.reading() as tx:
        assert tx.list_parked() == []
        assert [row.owner for row in tx.cases(map(case_id, keys)).values()] == ["bob"] * ROUNDS
