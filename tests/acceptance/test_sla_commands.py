"""What is promised, as the people who type the commands see it: real stores, the whole road."""

import json
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from detente.embedded import wall_clock
from rules.decision import Kind
from rules.subjects import case_id, subject_key
from schemas.time import DAY, HOUR, MINUTE, Instant, iso, local_text, to_instant
from tests.keyboard import Keyboard

POLICY = """
rules:
  - {name: unanswered, when: {breach: first_response}, open_at: management}
  - {name: late-delivery, when: {delay: "> 48h"}, open_at: management}
ladders:
  default:
    frontline: {notify: account_manager, acknowledge_within: 4h}
    management: {notify: partnership_manager, acknowledge_within: 2h, resolve_within: 3d}
    executive: {notify: executive_sponsor, acknowledge_within: 1h}
partner_tiers: [strategic, standard]
commitments:
  strategic:
    first_response: 2h
    next_response: 4h
    resolution: 3d
    partner_response: 5d
    overrides:
      - {when: {severity: high}, resolution: 1d}
    touchpoints:
      - {kind: check_in, every: 1w}
  standard: {first_response: 1d}
calendars:
  default: {timezone: Europe/Berlin, hours: {mon-fri: ["09:00-17:00"]}}
"""
#: A Monday, 10:00 in Berlin.
MONDAY = to_instant(datetime.fromisoformat("2026-11-02T10:00:00+01:00"))


class Helpdesk(Keyboard):
    """A helpdesk that was set up on Monday, with a person at a keyboard."""

    def later(self, length: int) -> None:
        """Let time pass, and decide what falls due in it."""
        self.now = Instant(self.now + length)
        self.tick()

    def say(self, type_: str, at: int | None = None, **data: Any) -> None:
        when = self.now if at is None else at
        self.take(type_, when, {"partner_id": "nordlicht", **data}, "/helpdesk")

    def ticket(self, name: str, partner: str = "nordlicht", **data: Any) -> None:
        self.say("ticket.opened", partner_id=partner, ticket_id=name, category="quality", **data)

    def wrote(self, name: str, author: str = "us", kind: str = "reply") -> None:
        self.say("ticket.message", ticket_id=name, author=author, kind=kind)

    def became(self, name: str, status: str, **data: Any) -> None:
        self.say("ticket.status", ticket_id=name, status=status, **data)

    def document(self, *args: str) -> Any:
        return json.loads(self.ok(*args, "--json"))

    def clocks(self, *args: str) -> list[tuple[str, str, str]]:
        """Subject, metric and state of each clock of `detente sla`, touchpoints left out."""
        return [
            (clock["subject"]["name"], clock["metric"], clock["state"])
            for clock in self.document("sla", *args)["clocks"]
            if not clock["metric"].startswith("touchpoint:")
        ]


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Helpdesk]:
    # Nothing of this is in the folder in which commands look for policy.yaml.
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    helpdesk = Helpdesk(tmp_path, MONDAY, POLICY)
    yield helpdesk
    helpdesk.close()


def ticket_case(name: str) -> str:
    return case_id(subject_key(Kind.TICKET, "nordlicht", name))


# --- sla ------------------------------------------------------------------------------------------


def test_sla_lists_what_runs_the_soonest_due_first(desk: Helpdesk) -> None:
    desk.ticket("T-1")
    desk.later(HOUR)
    desk.ticket("T-2")
    desk.ticket("T-3", "kontor")
    assert desk.clocks() == [
        ("T-1", "first_response", "running"),
        ("T-2", "first_response", "running"),
        ("T-3", "first_response", "running"),
        ("T-1", "resolution", "running"),
        ("T-2", "resolution", "running"),
    ]
    first, *_, last = desk.ok("sla", "--partner", "nordlicht", "--metric", "first_response",
                              "--metric", "resolution").splitlines()[1:]  # fmt: skip
    assert first.split("  ")[:4] == [
        "2026-11-02 12:00 CET", "in 1 h", "running", "first response"
    ]  # fmt: skip
    assert "ticket T-1" in first
    assert "nordlicht (strategic)" in first
    assert "account manager" in first
    assert last == "4 clocks."


def test_what_is_late_says_by_how_much_and_who_held_it(desk: Helpdesk) -> None:
    desk.ticket("T-1")
    desk.later(HOUR)
    desk.wrote("T-1", "partner")
    desk.wrote("T-1", "us", "automatic")
    desk.later(4 * HOUR)
    output = desk.ok("sla", "--metric", "first_response")
    assert "3 h late" in output
    assert "partner asked again" in output
    assert "1 late, the longest by 3 h." in output
    (clock,) = desk.document("sla", "--state", "breached", "--metric", "first_response")["clocks"]
    assert clock["clock"] == f"{ticket_case('T-1')}/first_response/1"
    assert (clock["breached_at"], clock["late_seconds"]) == ("2026-11-02T11:00:00Z", 3 * 3600)
    assert (clock["holder"], clock["owed_by"]) == ("account_manager", "us")
    assert clock["promised_in"] == "commitments.strategic.first_response"


def test_the_ladder_s_clocks_run_beside_the_partner_s(desk: Helpdesk) -> None:
    desk.ticket("T-1")
    desk.later(2 * HOUR + MINUTE)
    found = desk.clocks("--tier", "management")
    assert found == [("T-1", "acknowledge", "running"), ("T-1", "resolve", "running")]
    assert "acknowledge (management)" in desk.ok("sla", "--metric", "acknowledge")
    assert desk.clocks("--tier", "standard") == []


def test_an_order_with_a_case_has_clocks_and_one_without_has_none(desk: Helpdesk) -> None:
    for name, promised in (("PO-1", MONDAY - 3 * DAY), ("PO-2", MONDAY + 3 * DAY)):
        desk.say("order.placed", MONDAY - 5 * DAY, order_id=name, promised_at=iso(promised),
                 lines=[{"sku": "cup", "quantity": 1}])  # fmt: skip
    desk.later(0)
    assert desk.clocks() == [
        ("PO-1", "acknowledge", "running"), ("PO-1", "resolve", "running")
    ]  # fmt: skip


def test_a_pause_says_what_it_waits_for(desk: Helpdesk) -> None:
    desk.ticket("T-1")
    desk.wrote("T-1")
    desk.later(HOUR)
    desk.became("T-1", "waiting_on_partner")
    desk.later(HOUR)
    assert desk.clocks() == [
        ("T-1", "partner_response", "running"),
        ("T-1", "resolution", "paused"),
    ]
    output = desk.ok("sla", "--state", "paused")
    assert "waiting on partner since 2026-11-02 11:00 CET" in output
    assert "the partner" in desk.ok("sla", "--metric", "partner_response")


def test_as_of_gives_what_was_listed_then(desk: Helpdesk) -> None:
    then: list[tuple[str, Any]] = []

    def look() -> None:
        then.append((iso(desk.now), desk.document("sla")["clocks"]))
        desk.later(MINUTE)  # what happens at the very instant has happened by then

    desk.ticket("T-1")
    look()
    desk.later(HOUR)
    desk.ticket("T-2", severity="high")
    desk.wrote("T-2")
    look()
    desk.later(2 * HOUR)  # T-1 is late, and its case asks management
    look()
    desk.say("case.acknowledged", case_id=ticket_case("T-1"), actor="claire")
    desk.later(HOUR)
    desk.wrote("T-1")
    desk.became("T-1", "waiting_on_partner")
    look()
    desk.later(DAY)
    desk.became("T-1", "resolved")
    desk.became("T-2", "closed")
    desk.later(7 * DAY)
    look()
    assert desk.clocks() == []
    for at, listed in then:
        assert desk.document("sla", "--as-of", at)["clocks"] == listed, at
    assert {c["metric"] for _, listed in then for c in listed} >= {"acknowledge", "resolution"}


def test_as_of_takes_a_day_as_its_end_in_the_zone_of_the_house(desk: Helpdesk) -> None:
    desk.later(3 * DAY)
    assert desk.document("sla", "--as-of", "2026-11-03")["as_of"] == "2026-11-03T23:00:00Z"
    assert desk.document("sla", "--as-of", "2026-11-03 12:00")["as_of"] == "2026-11-03T11:00:00Z"
    assert desk.ok("sla", "--as-of", "2026-11-03").startswith("As of 2026-11-04 00:00 CET:")


@pytest.mark.parametrize(
    ("written", "said"), [("2026-11-09", "yet to come"), ("yesterday", "write a day")]
)
def test_as_of_refuses_what_is_no_past(desk: Helpdesk, written: str, said: str) -> None:
    result = desk.run("sla", "--as-of", written)
    assert result.exit_code == 2
    assert said in result.output


def test_settled_tickets_are_shown_to_who_asks_for_their_state(desk: Helpdesk) -> None:
    desk.ticket("T-1")
    desk.later(HOUR)
    desk.wrote("T-1")
    desk.became("T-1", "resolved")
    desk.later(HOUR)
    assert desk.clocks() == []
    assert desk.clocks("--state", "met") == [
        ("T-1", "first_response", "met"), ("T-1", "resolution", "met")
    ]  # fmt: skip
    desk.wrote("T-1", "partner")
    assert desk.clocks() == [("T-1", "next_response", "running")]


def test_a_name_that_nobody_has_is_said(desk: Helpdesk) -> None:
    output = desk.ok("sla", "--partner", "nordlich")
    assert "No clock matches." in output
    assert "nordlicht" in output
    assert "There is no tier gold; tiers are strategic, standard" in desk.ok(
        "sla", "--tier", "gold"
    )


def test_many_tickets_are_read_by_the_page_and_no_order_is(
    desk: Helpdesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.store.subjects._PAGE", 2)
    for n in range(5):
        desk.ticket(f"T-{n}")
    desk.ticket("T-9", "kontor")
    desk.say("order.placed", order_id="PO-1", promised_at=iso(MONDAY + DAY),
             lines=[{"sku": "cup", "quantity": 1}])  # fmt: skip
    with desk.embedded.store.reading() as tx:
        every = [row.key for row in tx.subjects_of_kind(Kind.TICKET)]
        theirs = [row.key for row in tx.subjects_of_kind(Kind.TICKET, "nordlicht")]
        plan = tx.connection.exec_driver_sql(
            "EXPLAIN QUERY PLAN SELECT * FROM subject WHERE key > 'ticket:' AND key < 'ticket;' "
            "ORDER BY key LIMIT 2"
        ).all()
    assert every == ["ticket:kontor:T-9", *theirs]
    assert theirs == [f"ticket:nordlicht:T-{n}" for n in range(5)]
    assert "SEARCH subject USING INDEX subject_key (key>? AND key<?)" in plan[0][-1]


@pytest.mark.parametrize("columns", [80, 200])
def test_sla_fits_the_terminal(desk: Helpdesk, columns: int) -> None:
    desk.now = wall_clock()  # a process of its own sees no other
    desk.ticket("a-rather-long-ticket-number-2026-000017")
    seen = desk.on_terminal("sla", columns=columns)
    assert "\x1b[" in seen
    lines = re.sub(r"\x1b\[[0-9;]*m", "", seen).splitlines()
    assert max(len(line.rstrip()) for line in lines) <= columns
    # What a person acts on is never cut into pieces.
    due = local_text(desk.now + 2 * HOUR, ZoneInfo("Europe/Berlin"))
    assert any(due in line and "first response" in line for line in lines)


# --- touchpoints ----------------------------------------------------------------------------------


def test_touchpoints_tells_held_missed_skipped_and_next(desk: Helpdesk) -> None:
    # Watched since Monday, 2 November at ten: the first whole week begins on the 9th.
    assert desk.document("touchpoints")["touchpoints"][0]["next_due"] == "2026-11-13T23:00:00Z"
    desk.later(8 * DAY)
    desk.say("touchpoint.held", kind="check_in", note="Anna was late")
    assert desk.document("touchpoints")["touchpoints"][0]["next_due"] == "2026-11-20T23:00:00Z"
    desk.later(14 * DAY)  # nobody called in the week of the 16th
    desk.say("touchpoint.skipped", kind="check_in", agreed_by="Mme Petit")
    desk.later(8 * DAY)
    output = desk.ok("touchpoints", "--partner", "nordlicht")
    (line,) = [line for line in output.splitlines() if line.startswith("nordlicht")]
    assert re.split(" {2,}", line) == [
        "nordlicht (strategic)", "check in", "1w", "2026-11-10", "2026-12-04 (in 2 d)",
        "1, last due 2026-11-20, not held", "2026-11-24 (Mme Petit)",
    ]  # fmt: skip
    assert output.splitlines()[-1] == "1 partner; 1 missed."
    (found,) = desk.document("touchpoints")["touchpoints"]
    assert (found["owed"], found["met"]) == (4, 1)
    assert found["missed"][0]["due"] == "2026-11-20T23:00:00Z"
    assert found["skipped"] == [
        {"at": "2026-11-24T09:00:00Z", "agreed_by": "Mme Petit", "note": None}
    ]
    (clock,) = desk.document("sla", "--metric", "touchpoint", "--state", "running")["clocks"]
    assert clock["due"] == found["next_due"] == "2026-12-04T23:00:00Z"


def test_a_session_that_was_held_late_says_so(desk: Helpdesk) -> None:
    desk.later(13 * DAY)
    desk.say("touchpoint.held", kind="check_in")  # on Sunday; the week's last day was Friday
    assert "due 2026-11-13, held 34 h late" in desk.ok("touchpoints")


def test_a_partner_without_promised_sessions_is_named(desk: Helpdesk) -> None:
    assert "kontor is promised no session." in desk.ok("touchpoints", "--partner", "kontor")
    assert "Did you mean kontor?" in desk.ok("touchpoints", "--partner", "kontorr")


# --- evidence -------------------------------------------------------------------------------------


@pytest.fixture
def breached(desk: Helpdesk) -> Helpdesk:
    """A ticket that was answered late, waited for the partner, and went up the whole ladder."""
    desk.ticket("T-1", summary="<b>Anna</b> broke | the *cups*", severity="low")
    desk.later(HOUR)
    desk.wrote("T-1", "partner")
    desk.wrote("T-1", "us", "note")
    desk.later(2 * HOUR)  # one hour late: the case opens at management
    case = ticket_case("T-1")
    desk.say("case.acknowledged", case_id=case, actor="claire", note="the partner exaggerates")
    desk.say("case.assigned", case_id=case, actor="claire", to="david", note="yours")
    desk.later(MINUTE)
    desk.wrote("T-1", "us")
    desk.became("T-1", "waiting_on_partner")
    desk.later(4 * HOUR)
    desk.wrote("T-1", "partner")
    desk.say("clock.excused", clock_id=f"{case}/first_response/1", actor="david",
             note="our van burned")  # fmt: skip
    desk.say("case.escalated", case_id=case, actor="claire", to="executive", note="save us")
    desk.later(5 * MINUTE)
    return desk


#: Whatever must stay in the house.
INTERNAL = re.compile(
    "anna|claire|david|lindner|dubois|okafor|exaggerates|yours|burned|save us|broke|cups"
    "|frontline|management|executive|strategic|account.manager|escalat|acknowledge|unanswered",
    re.IGNORECASE,
)


def test_evidence_tells_what_happened_with_counted_and_excluded_time(breached: Helpdesk) -> None:
    text = breached.ok("evidence", ticket_case("T-1"))
    assert text.splitlines()[0] == "# nordlicht: ticket T-1"
    happened = text[text.index("## What happened") : text.index("## Clocks")].splitlines()[2:-1]
    assert happened == [
        "- 2026-11-02 10:00 CET: The ticket was opened: category quality, severity low.",
        "- 2026-11-02 11:00 CET: The partner wrote.",
        "- 2026-11-02 13:01 CET: We replied.",
        "- 2026-11-02 13:01 CET: The ticket became: waiting on partner.",
        "- 2026-11-02 17:01 CET: The partner wrote.",
    ]
    clocks = {
        row.split(" | ")[0]: row.split(" | ")[1:] for row in text.splitlines() if "CET |" in row
    }
    assert clocks["| first response"] == [
        "us", "2 hours", "2026-11-02 10:00 CET", "2026-11-02 12:00 CET", "2026-11-02 13:01 CET",
        "3 h 1 min", "-", "1 h 1 min late; excused |",
    ]  # fmt: skip
    assert clocks["| resolution"] == [
        "us", "3 days", "2026-11-02 10:00 CET", "2026-11-05 14:00 CET", "-",
        "3 h 6 min", "4 h", "running |",
    ]  # fmt: skip
    assert clocks["| partner response"][:2] == ["the partner", "5 days"]
    assert (
        "- resolution: waiting on partner, 2026-11-02 13:01 CET until 2026-11-02 17:01 CET" in text
    )
    assert "Business hours: mon-fri 09:00-17:00 (Europe/Berlin)." in text
    assert "Not counted while we wait for the partner: status update, resolution." in text


def test_evidence_tells_nothing_internal(breached: Helpdesk) -> None:
    case = ticket_case("T-1")
    # The words are looked for where they are: the case's own page has most of them.
    assert len(set(INTERNAL.findall(breached.ok("case", case)))) > 8
    for args in (("evidence", case), ("evidence", case, "--json")):
        assert not INTERNAL.findall(breached.ok(*args))


def test_evidence_in_json_has_the_same(breached: Helpdesk) -> None:
    document = breached.document("evidence", ticket_case("T-1"))
    assert [x["what"] for x in document["happened"]][:2] == [
        "The ticket was opened: category quality, severity low.", "The partner wrote."
    ]  # fmt: skip
    (resolution,) = [c for c in document["clocks"] if c["promise"] == "resolution"]
    assert (resolution["counted_seconds"], resolution["not_counted_seconds"]) == (11_160, 14_400)
    assert resolution["not_counted"] == [
        {"from": "2026-11-02T12:01:00Z", "until": "2026-11-02T16:01:00Z",
         "reason": "waiting on partner"}
    ]  # fmt: skip
    (rules,) = document["rules"]
    assert rules["since"] == "2026-11-02T09:00:00Z"


def test_evidence_tells_a_long_delay_in_days(desk: Helpdesk) -> None:
    desk.say("order.placed", MONDAY - 5 * DAY, order_id="PO-2", promised_at=iso(MONDAY - 3 * DAY),
             lines=[{"sku": "cup", "quantity": 10}])  # fmt: skip
    desk.later(14 * DAY + 9 * HOUR)
    text = desk.ok("evidence", case_id(subject_key(Kind.ORDER, "nordlicht", "PO-2")))
    assert "not reported (17 d 9 h late)" in text


def test_evidence_of_an_order_has_promises_and_what_came(desk: Helpdesk) -> None:
    lines = [{"sku": "cup_*", "quantity": 10, "unit_price": "777"}]
    desk.say("order.placed", MONDAY - 5 * DAY, order_id="PO|1", promised_at=iso(MONDAY - 3 * DAY),
             currency="EUR", lines=lines)  # fmt: skip
    desk.later(0)
    case = case_id(subject_key(Kind.ORDER, "nordlicht", "PO|1"))
    text = desk.ok("evidence", case)
    assert text.startswith(r"# nordlicht: order PO\|1")  # what comes from outside is no markup
    row = next(line for line in text.splitlines() if r"cup\_\*" in line and line.startswith("|"))
    assert "not reported (72 h late)" in row
    desk.later(HOUR)
    desk.say("delivery.completed", delivery_id="D-1", order_id="PO|1", final=True,
             lines=[{"sku": "cup_*", "quantity": 10}])  # fmt: skip
    text = desk.ok("evidence", case)
    assert "2026-11-02 11:00 CET (73 h late)" in text
    assert "Delivery D-1 arrived: 10 cup" in text
    assert "777" not in text
    assert "management" not in text


def test_evidence_holds_an_order_to_the_promise_that_the_partner_agreed_to(desk: Helpdesk) -> None:
    for name, again in (("PO-1", DAY), ("PO-2", 2 * DAY)):
        desk.say("order.placed", MONDAY - 5 * DAY, order_id=name,
                 promised_at=iso(MONDAY - 3 * DAY), currency="EUR",
                 lines=[{"sku": "cup", "quantity": 10, "unit_price": "7"}])  # fmt: skip
        desk.say("order.amended", MONDAY - 4 * DAY, order_id=name, agreed_by="partner",
                 promised_at=iso(MONDAY - 3 * DAY + again))  # fmt: skip
        desk.say("order.impacted", order_id=name, kind="damaged", quantity=10)
    desk.say("delivery.completed", MONDAY - DAY - HOUR, delivery_id="D-2", order_id="PO-2",
             lines=[{"sku": "cup", "quantity": 10}])  # fmt: skip
    late = desk.ok("evidence", case_id(subject_key(Kind.ORDER, "nordlicht", "PO-1")))
    assert "not reported (48 h late, 72 h after the first promise)" in late
    in_time = desk.ok("evidence", case_id(subject_key(Kind.ORDER, "nordlicht", "PO-2")))
    assert "2026-11-01 09:00 CET (47 h after the first promise)" in in_time


def test_evidence_tells_nothing_that_is_yet_to_come(breached: Helpdesk) -> None:
    ahead = breached.now + MINUTE
    breached.say("ticket.message", ahead, ticket_id="T-1", author="us", kind="reply")
    case = ticket_case("T-1")
    assert breached.ok("evidence", case).count("We replied") == 1
    breached.later(MINUTE)
    assert breached.ok("evidence", case).count("We replied") == 2


def test_evidence_is_about_one_thing_of_one_partner(desk: Helpdesk) -> None:
    desk.say("disruption.declared", disruption_id="D-1", severity="high", summary="A strike",
             partner_ids=["nordlicht", "kontor"])  # fmt: skip
    case = case_id(subject_key(Kind.DISRUPTION, "", "D-1"))
    result = desk.run("evidence", case)
    assert result.exit_code == 1
    assert f"{case} is about a disruption" in result.output
    assert "there is no case C-000000000000" in desk.run("evidence", "C-000000000000").output
