"""`detente scorecard` as people type it: a real store, the whole road."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rules.decision import Kind
from rules.subjects import case_id, subject_key
from schemas.report import Report
from schemas.time import DAY, HOUR, Instant, to_instant
from tests.acceptance.test_sla_commands import POLICY
from tests.clock_timelines import at
from tests.keyboard import Keyboard

REPORTING = """
reporting:
  targets: {default: {otif: 95}}
  shared_metrics: [forecast_accuracy]
"""
PLACED = at("2026-10-05 08:00")
NOW = at("2026-11-02 08:00")


class Office(Keyboard):
    """A store with a month of orders, and a keyboard."""

    command: tuple[str, ...] = ("scorecard",)

    def say(self, when: int, type_: str, **data: Any) -> None:
        """Something is said, and known at once."""
        now, self.now = self.now, Instant(when)
        self.take(type_, when, {"partner_id": "nordlicht", **data})
        self.now = now

    def order(self, name: str, came: str | None) -> None:
        lines = [{"sku": "coffee", "quantity": 10, "unit_price": "2.50"}]
        self.say(PLACED, "order.placed", order_id=name, promised_at="2026-10-20", currency="EUR",
                 lines=lines)  # fmt: skip
        if came is not None:
            self.say(at(f"{came} 18:00"), "delivery.completed", order_id=name, delivery_id=name,
                     delivered_at=came, lines=[{"sku": "coffee", "quantity": 10}])  # fmt: skip

    def report(self, *args: str) -> Report:
        return Report.model_validate_json(self.ok(*args, "--format", "json"))


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    office = Office(tmp_path, PLACED, POLICY + REPORTING)
    office.order("PO-1", "2026-10-20")
    office.order("PO-2", "2026-10-22")
    office.order("PO-3", None)
    office.say(at("2026-10-30 09:00"), "metric.reported", metric="forecast_accuracy", value=82,
               unit="%", period="2026-10")  # fmt: skip
    office.say(at("2026-10-30 09:00"), "metric.reported", metric="margin", value=7)
    office.now = NOW
    yield office
    office.close()


def test_the_month_before_in_every_form(office: Office) -> None:
    text = office.ok("nordlicht")
    assert "October 2026, Europe/Berlin" in text
    assert "OTIF 33.3 % of 3 orders, target 95 %" in text
    assert "Overdue value, EUR" in text
    assert "# " in office.ok("nordlicht", "--format", "markdown")
    assert office.ok("nordlicht", "--format", "html").startswith("<!")
    assert isinstance(json.loads(office.ok("nordlicht", "--format", "slack")), list)
    file = office.folder / "card.html"
    assert f"Written to {file}" in office.ok("nordlicht", "--format", "html", "-o", str(file))
    assert "33.3 %" in file.read_text()


def test_what_is_behind_a_figure(office: Office) -> None:
    lines = office.ok("nordlicht", "--explain", "otif").splitlines()
    assert lines[0] == "OTIF: 33.3 % of 3 orders"
    assert [line.split()[0] for line in lines[2:]] == ["PO-2", "PO-3", "PO-1"]
    assert "miss       nothing came by 2026-11-02 09:00 CET" in lines[3]
    table = json.loads(office.ok("nordlicht", "--explain", "otif", "--format", "json"))
    assert len(table["rows"]) == 3


def test_a_version_for_the_partner_has_nothing_confidential(office: Office) -> None:
    ours, theirs = office.report("nordlicht"), office.report("nordlicht", "--for", "partner")
    names = {one.id for one in ours.all_figures()} - {one.id for one in theirs.all_figures()}
    assert {"reported/margin", "exposure/EUR", "escalations/management"} <= names
    assert {"otif", "reported/forecast_accuracy", "sla/touchpoint:check_in"}.isdisjoint(names)
    text = office.ok("nordlicht", "--for", "partner")
    for word in ("margin", "Overdue", "Cases at", "C-"):
        assert word not in text
    refused = office.run("nordlicht", "--for", "partner", "--explain", "reported/margin")
    assert refused.exit_code == 1


def test_a_month_that_is_not_over_is_a_draft(office: Office) -> None:
    assert "not over" in office.ok("nordlicht", "--month", "2026-11")
    later = office.run("nordlicht", "--month", "2026-12")
    assert later.exit_code == 2
    assert "December 2026 has not begun" in later.output


def test_what_is_not_known_is_named(office: Office) -> None:
    stranger = office.run("nordlich")
    assert stranger.exit_code == 1
    assert "nothing is known of a partner nordlich. Did you mean nordlicht?" in stranger.output
    assert "Partners are: kontor, nordlicht" in office.run("xyz").output
    wrong = office.run("nordlicht", "--explain", "otfi")
    assert wrong.exit_code == 1
    assert "no figure otfi. Did you mean otif" in wrong.output
    assert "write year and month" in office.run("nordlicht", "--month", "10-2026").output
    assert "No order was due." in office.ok("kontor")  # listed, and nothing was said of it


def test_what_was_issued_stays_as_it_was_and_is_restated_with_what_changed(office: Office) -> None:
    refused = office.run("nordlicht", "--month", "2026-11", "--issue")
    assert refused.exit_code == 1
    assert "November 2026 is not over" in refused.output
    assert "has not been issued" in office.run("nordlicht", "--restate").output
    assert "Issued: 2026-10" in office.ok("nordlicht", "--issue")
    first = office.report("nordlicht")
    assert (first.issue, first.changes) == (1, ())
    office.now = Instant(NOW + HOUR)
    assert "was issued before" in office.ok("nordlicht", "--issue")
    assert "Nothing that came later" in office.ok("nordlicht", "--restate")

    # It had come in time, and nobody had said so.
    office.say(office.now, "delivery.completed", order_id="PO-3", delivery_id="late",
               delivered_at="2026-10-20", lines=[{"sku": "coffee", "quantity": 10}])  # fmt: skip
    assert office.report("nordlicht") == first
    assert office.report("nordlicht", "--draft").figure("otif") != first.figure("otif")
    assert "33.3 % of 3 orders" in office.ok("nordlicht", "--explain", "otif")
    assert "66.6 % of 3 orders" in office.ok("nordlicht", "--explain", "otif", "--draft")

    assert "Restated (issue 2): 2026-10" in office.ok("nordlicht", "--restate")
    second = office.report("nordlicht")
    assert (second.issue, to_instant(second.as_of)) == (2, office.now)
    counted = "What happened counts up to 2026-11-02 09:00 CET, as when the month was first issued;"
    assert any(counted in note for note in second.notes)
    assert not any(counted in note for note in first.notes)
    change = next(change for change in second.changes if change.figure == "otif")
    assert (change.was, change.now) == ("33.3 % of 3 orders", "66.6 % of 3 orders")
    assert change.because == "1 row changed"
    assert "66.6 % of 3 orders" in office.ok("nordlicht", "--explain", "otif")
    assert office.report("nordlicht", "--number", "1") == first
    assert "33.3 % of 3 orders" in office.ok("nordlicht", "--explain", "otif", "--number", "1")
    assert "2026-10 has no issue 3" in office.run("nordlicht", "--number", "3").output


def test_an_excuse_that_is_given_later_is_in_a_restatement_and_a_later_delivery_is_not(
    office: Office,
) -> None:
    office.embedded.handler.tick(NOW)
    office.ok("nordlicht", "--issue")
    promise = "sla/touchpoint:check_in"
    rows = json.loads(office.ok("nordlicht", "--explain", promise, "--format", "json"))["rows"]
    broken = [row for row in rows if row[4]["text"] == "breached"]
    office.now = Instant(NOW + 9 * DAY)
    office.say(office.now, "delivery.completed", order_id="PO-3", delivery_id="late",
               lines=[{"sku": "coffee", "quantity": 10}])  # fmt: skip
    assert "Nothing that came later" in office.ok("nordlicht", "--restate")
    office.say(office.now, "clock.excused", clock_id=broken[0][0]["text"], actor="claire",
               note="their office was closed")  # fmt: skip

    office.now = Instant(NOW + 10 * DAY)
    restated = office.report("nordlicht", "--draft")
    office.ok("nordlicht", "--restate")
    second = office.report("nordlicht")
    assert {change.figure for change in second.changes} == {promise}
    assert second.all_figures() == restated.all_figures()


def test_what_was_solved_before_the_first_month_is_judged_in_it(office: Office) -> None:
    office.embedded.handler.tick(Instant(at("2026-10-24 08:00")))
    case = case_id(subject_key(Kind.ORDER, "nordlicht", "PO-3"))
    office.say(at("2026-10-25 09:00"), "case.resolved", case_id=case, actor="claire",
               root_cause="a strike")  # fmt: skip
    office.now = at("2027-05-02 08:00")
    solved = office.report("nordlicht", "--month", "2027-04").figure("solved_for_good")
    assert solved is not None
    assert solved.before[0] == 100  # its 30 days ended in November
