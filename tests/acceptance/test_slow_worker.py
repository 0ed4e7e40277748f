"""Of two workers one knows less of how far the inputs were read: it takes nothing back."""

import json
from pathlib import Path
from typing import Any

from detente.embedded import Embedded, open_embedded
from rules.decision import StepKind
from rules.world import Horizon
from schemas.time import DAY, HOUR, Instant
from streams.records import RawRecord
from tests.acceptance.test_service import MONDAY, event, placed, settings_in, short


def take(embedded: Embedded, said: dict[str, Any], now: int, read_until: int) -> None:
    embedded.handler.horizon = lambda _: Horizon.everything_until(read_until)
    embedded.handler.take([RawRecord("orders", "1", json.dumps(said).encode())], Instant(now))


def steps(embedded: Embedded) -> list[tuple[StepKind, bool]]:
    with embedded.store.reading() as tx:
        [case] = tx.list_cases()
        return [(step.kind, step.withdrawn_at is None) for step in tx.steps(case.case_id)]


def test_an_escalation_stands_when_a_slower_worker_takes_the_next_event(tmp_path: Path) -> None:
    escalated = [
        (StepKind.OPENED, True),
        (StepKind.BREACHED, True),
        (StepKind.ESCALATED, True),
    ]
    with open_embedded(settings_in(tmp_path), MONDAY) as embedded:
        take(embedded, placed(promised=Instant(MONDAY + DAY)), MONDAY, MONDAY)
        take(embedded, short(), MONDAY, MONDAY)
        late = MONDAY + 5 * HOUR
        embedded.handler.horizon = lambda now: Horizon.everything_until(now - 1)
        embedded.handler.tick(Instant(late))
        assert steps(embedded) == escalated
        with embedded.store.reading() as tx:
            told = len(tx.list_outbox())
        more = event("more", "ticket.message", ticket_id="T-1", author="us", kind="note")
        take(embedded, more, late + 1, 0)
        report = event("again", "order.impacted", order_id="PO-1", kind="short",
                       report_id="R-2", lines=[{"sku": "coffee", "quantity": 9}])  # fmt: skip
        take(embedded, report, late + 2, 0)
        assert steps(embedded) == escalated
        with embedded.store.reading() as tx:
            assert len(tx.list_outbox()) == told


def test_a_snoozed_case_stays_awake(tmp_path: Path) -> None:
    with open_embedded(settings_in(tmp_path), MONDAY) as embedded:
        take(embedded, placed(promised=Instant(MONDAY + DAY)), MONDAY, MONDAY)
        take(embedded, short(), MONDAY, MONDAY)
        with embedded.store.reading() as tx:
            [case] = tx.list_cases()
        until = "2026-11-02T11:00:00Z"
        snooze = event("s", "case.snoozed", MONDAY, case_id=case.case_id, actor="claire",
                       until=until)  # fmt: skip
        take(embedded, snooze, MONDAY + 1, MONDAY)
        embedded.handler.horizon = lambda now: Horizon.everything_until(now - 1)
        embedded.handler.tick(Instant(MONDAY + 2 * HOUR))
        before = steps(embedded)
        assert (StepKind.WOKEN, True) in before
        report = event("again", "order.impacted", order_id="PO-1", kind="short",
                       report_id="R-2", lines=[{"sku": "coffee", "quantity": 9}])  # fmt: skip
        take(embedded, report, MONDAY + 2 * HOUR + 2, 0)
        assert steps(embedded) == before
