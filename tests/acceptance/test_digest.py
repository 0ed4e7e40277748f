"""The weekly digest: what it says, where its figures lead, and that what was issued stays."""

import asyncio
import io
import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from shutil import copy
from typing import Any

import pytest

from detente.embedded import establish
from detente.report_content import stored_reports
from detente.service import Service
from detente.settings import Settings
from notifiers.report_message import ReportName
from rules.decision import EffectKind, Kind
from rules.digest.period import read_period
from rules.ledger import Posting
from rules.subjects import case_id, subject_key
from rules.world import World
from schemas.report import Report
from schemas.time import HOUR, Instant, to_instant
from streams.digests import Digests
from streams.horizon import REPLAYED
from streams.issuing import Reporting
from streams.knowledge import in_force
from streams.outcome import Accepted, Duplicate, Outcome
from tests import keyboard
from tests.keyboard import Keyboard

POLICY = """
rules:
  - {name: unanswered, when: {breach: first_response}, open_at: management}
ladders:
  default:
    frontline: {notify: account_manager, acknowledge_within: 4h}
    management: {notify: partnership_manager, acknowledge_within: 2h, resolve_within: 3d}
    executive: {notify: executive_sponsor, acknowledge_within: 1h}
partner_tiers: [strategic, standard]
commitments:
  strategic: {first_response: 2h, next_response: 4h, resolution: 3d,
              overrides: [{when: {severity: high}, resolution: 2d}],
              touchpoints: [{kind: check_in, every: 1w}]}
  standard: {first_response: 1d}
calendars:
  default: {timezone: Europe/Berlin, hours: {mon-fri: ["09:00-17:00"]}}
"""
REPORTING = """
reporting:
  targets: {strategic: {first_response: 95}}
  digest: {day: mon, at: "07:00", to: [executive_sponsor, "person:claire"]}
  scorecard: {day: 2, at: "06:00"}
"""
DIRECTORY = keyboard.DIRECTORY.replace("nordlicht: {", "nordlicht: {name: Nordlicht GmbH, ")


def berlin(text: str) -> Instant:
    return to_instant(datetime.fromisoformat(f"{text}+01:00"))


#: Monday of week 45.
BEGIN = berlin("2026-11-02T00:00:00")


class Office(Keyboard):
    """A store with a clock that is moved by hand, and a keyboard."""

    command: tuple[str, ...] = ("digest",)

    def __init__(self, folder: Path, policy: str, database: Path) -> None:
        copy(database, folder / "detente.db")
        super().__init__(folder, BEGIN, policy, DIRECTORY)

    def start(self) -> None:
        super().start()
        self.reporting = Reporting(self.store, self.embedded.knowledge)

    def at(self, text: str) -> None:
        """Let time pass until then, and decide what falls due in it."""
        self.now = berlin(text)
        self.tick()

    def say(
        self, type_: str, at: str | None = None, outcome: type[Outcome] = Accepted, **data: Any
    ) -> None:
        when = self.now if at is None else berlin(at)
        self.take(type_, when, {"partner_id": "nordlicht", **data}, "/helpdesk", outcome)

    def ticket(self, name: str, **said: Any) -> None:
        self.say("ticket.opened", ticket_id=name, category="quality", **said)

    def reply(self, name: str, at: str | None = None, outcome: type[Outcome] = Accepted) -> None:
        self.say("ticket.message", at, outcome, ticket_id=name, author="us", kind="reply")

    def ok(self, *args: str, actor: str | None = "claire") -> str:
        """What a command that succeeds prints, without its remarks."""
        result = self.run(*args, actor=actor)
        assert result.exit_code == 0, result.output
        return result.stdout

    def report(self, *args: str) -> Report:
        return Report.model_validate_json(self.ok("--json", *args))

    def rows(self, figure: str, *args: str) -> list[dict[str, Any]]:
        found = json.loads(self.ok("--explain", figure, "--json", *args))["rows"]
        assert isinstance(found, list)
        return found

    def queued(self) -> list[tuple[str, str]]:
        """(report, role) of everything to be read that waits to be sent."""
        with self.embedded.store.reading() as tx:
            effects = [entry.effect for entry in tx.list_outbox()]
        return sorted(
            (str(effect.text["report"]["key"]), effect.role)  # type: ignore[index]  # JSON
            for effect in effects
            if effect.kind is EffectKind.REPORT
        )


@pytest.fixture
def office(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, migrated_database: Path
) -> Iterator[Office]:
    elsewhere = tmp_path / "elsewhere"  # where no command finds a policy.yaml
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    found = Office(tmp_path, POLICY + REPORTING, migrated_database)
    yield found
    found.close()


def week_45(office: Office) -> None:
    """Three questions: one answered in time, one late, one never; the check-in held."""
    office.at("2026-11-03T09:00:00")
    for name in ("T-1", "T-2", "T-3"):
        office.ticket(name)
    office.reply("T-1", "2026-11-03T08:30:00")  # before the ticket: answers nothing
    office.at("2026-11-03T10:00:00")
    office.reply("T-1")
    office.at("2026-11-03T12:30:00")
    office.reply("T-2")
    office.say("touchpoint.held", kind="check_in")
    office.at("2026-11-09T06:00:00")


def figure(report: Report, name: str) -> tuple[str, int | None]:
    found = report.figure(name)
    assert found is not None, [f.id for f in report.all_figures()]
    return found.shown, found.n


def rows_of(report: Report, section: str) -> list[list[str]]:
    """The first table of a section."""
    found = next(each for each in report.sections if each.id == section)
    return [[cell.text for cell in row] for row in found.tables[0].rows]


# --- what it says ---------------------------------------------------------------------------------


def test_a_week_is_counted_and_its_figures_lead_to_their_rows(office: Office) -> None:
    week_45(office)
    report = office.report("--week", "2026-W45")
    assert (report.issue, report.period.key) == (0, "2026-W45")
    assert figure(report, "attainment/strategic/first_response") == ("33.3 %", 3)
    first = report.figure("attainment/strategic/first_response")
    assert first is not None
    assert str(first.target) == "95"
    assert first.reached is False
    rows = office.rows("attainment/strategic/first_response", "--week", "2026-W45")
    by_ticket = {row["name"]: row for row in rows}
    names = [f"{ticket_case(n)}/first_response/1" for n in ("T-1", "T-2", "T-3")]
    assert [by_ticket[name]["outcome"] for name in names] == ["met", "breached", "breached"]
    assert by_ticket[names[1]]["late_seconds"] == 90 * 60
    # The one that nobody has answered is late up to the end of the week, whenever it is asked.
    late = berlin("2026-11-09T00:00:00") - berlin("2026-11-03T11:00:00")
    assert by_ticket[names[2]]["late_seconds"] * 1_000_000 == late
    assert figure(report, "touchpoints/check_in/kept") == ("1", 1)
    assert figure(report, "escalations/management") == ("2", 2)
    assert len(report.summary) == 5


def test_every_figure_has_the_rows_that_it_counts(office: Office) -> None:
    week_45(office)
    knowledge = office.embedded.knowledge
    digests = Digests(office.embedded.store, World(knowledge.policies, knowledge.recipients))
    week = read_period("2026-W45", digests.ledger.zone)
    draft = digests.draft(week, office.now)
    for each in draft.report.all_figures():
        rows = digests.explain(week, office.now, draft, each.id).of(each.id)
        names = [row["case" if each.counts == "cases" else "name"] for row in rows]
        assert len(set(names)) == each.n, each.id


def test_rows_are_shown_to_people_in_the_zone_of_the_report(office: Office) -> None:
    week_45(office)
    office.say("ticket.status", ticket_id="T-1", status="waiting_on_partner", actor="anna")
    lines = office.ok("--week", "2026-W45", "--explain", "breaches/all").splitlines()
    late = next(line for line in lines if "T-2" in line)
    assert "2026-11-03 11:00 CET  " in late
    assert "  1 h 30 min  " in late
    assert lines[-1] == "5 rows, of a draft."
    pause = office.ok("--week", "2026-W46", "--explain", "pauses/anna").splitlines()
    assert "2026-11-09 06:00 CET" in pause[3]
    assert pause[-1] == "1 row, of a draft."


def test_a_breach_is_still_open_while_the_week_runs(office: Office) -> None:
    week_45(office)

    def remarks() -> set[str]:
        rows = rows_of(office.report("--week", "2026-W45"), "breaches")
        return {row[-1] for row in rows}

    office.now = berlin("2026-11-08T12:00:00")
    assert remarks() == {"", "still open"}
    office.now = berlin("2026-11-09T06:00:00")
    assert remarks() == {"", "open when the week ended"}


def test_a_figure_that_is_not_there_names_near_ones(office: Office) -> None:
    week_45(office)
    result = office.run("--week", "2026-W45", "--explain", "breeches/all")
    assert result.exit_code == 1
    assert "no figure breeches/all" in result.output
    assert "Did you mean breaches/all" in result.output


def test_a_week_that_runs_is_counted_up_to_now(office: Office) -> None:
    office.at("2026-11-03T09:00:00")
    office.ticket("T-1")
    office.at("2026-11-03T10:00:00")
    report = office.report("--week", "2026-W45")
    assert figure(report, "attainment/strategic/first_response") == ("none due", 0)
    office.at("2026-11-03T11:00:00")
    report = office.report("--week", "2026-W45")
    assert figure(report, "attainment/strategic/first_response") == ("none due", 0)
    assert rows_of(report, "breaches") == []
    office.at("2026-11-03T11:01:00")
    report = office.report("--week", "2026-W45")
    assert figure(report, "attainment/strategic/first_response") == ("0.0 %", 1)
    assert figure(report, "attainment/strategic/resolution") == ("none due", 0)


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--week", "2026-W54"), "is no week"),
        (("--week", "2025-W53"), "not every year has a week 53"),
        (("--week", "November"), "write e.g. 2026-W47"),
        (("--week", "2026-W50"), "has not begun"),
        (("--week", "2026-W45", "--issue"), "still runs until 2026-11-09T00:00"),
        (("--week", "2026-W44", "--restate"), "has not been issued"),
        (("--week", "2026"), "is a year"),
        (("--year", "2026", "--issue"), "weeks are issued"),
        (("--week", "2026-W44", "--number", "2"), "has no issue 2"),
    ],
)
def test_what_cannot_be_shown_is_said(office: Office, args: tuple[str, ...], said: str) -> None:
    office.at("2026-11-03T09:00:00")
    result = office.run(*args)
    assert result.exit_code != 0
    assert said in result.output
    assert "Traceback" not in result.output


def test_it_is_written_in_every_form(office: Office, tmp_path: Path) -> None:
    week_45(office)
    for form in ("terminal", "markdown", "html", "json", "slack"):
        file = tmp_path / form
        result = office.run("--week", "2026-W45", "--format", form, "-o", str(file))
        assert result.exit_code == 0, result.output
        assert "Nordlicht GmbH" in file.read_text()


# --- what was issued ------------------------------------------------------------------------------


def test_what_was_issued_stays_and_is_restated_with_a_diff(office: Office) -> None:
    week_45(office)
    assert "Issued: 2026-W45" in office.run("--week", "2026-W45", "--issue").stderr
    first = office.ok("--json", "--week", "2026-W45")
    # The mail that answered T-3 in time comes in a day late.
    office.at("2026-11-10T09:00:00")
    office.reply("T-3", "2026-11-03T10:30:00")
    assert office.ok("--json", "--week", "2026-W45") == first
    assert len(office.rows("breaches/all", "--week", "2026-W45")) == 5
    draft = office.report("--week", "2026-W45", "--draft")
    assert (draft.issue, figure(draft, "breaches/all")) == (0, ("4", 4))

    again = office.run("--week", "2026-W45", "--issue")
    assert "was issued before and stays as it is" in again.stderr
    assert "Restated (issue 2)" in office.run("--week", "2026-W45", "--restate").stderr
    report = office.report("--week", "2026-W45")
    assert report.issue == 2
    change = next(c for c in report.changes if c.figure == "attainment/strategic/first_response")
    assert (change.was, change.now) == ("33.3 % of 3 commitments", "66.6 % of 3 commitments")
    assert change.because == "1 row changed"
    assert office.ok("--json", "--week", "2026-W45", "--number", "1") == first
    assert len(office.rows("breaches/all", "--week", "2026-W45", "--number", "1")) == 5
    assert "Nothing that came later" in office.run("--week", "2026-W45", "--restate").stderr
    office.reply("T-2", "2026-11-03T10:45:00")
    assert "Restated (issue 3)" in office.run("--week", "2026-W45", "--restate").stderr
    assert office.report("--week", "2026-W45").issue == 3


def test_an_excuse_given_afterwards_counts_in_the_week_of_the_deadline(office: Office) -> None:
    week_45(office)
    office.ok("--week", "2026-W45", "--issue")
    office.at("2026-11-10T09:00:00")
    clock = f"{ticket_case('T-3')}/first_response/1"
    office.say("clock.excused", clock_id=clock, actor="david", note="storm")
    office.ok("--week", "2026-W45", "--restate")
    report = office.report("--week", "2026-W45")
    assert figure(report, "attainment/strategic/first_response") == ("50.0 %", 2)
    assert figure(report, "attainment-without-excuses/all")[1] == figure(
        office.report("--week", "2026-W45", "--number", "1"), "attainment/all"
    )[1]  # fmt: skip
    assert figure(report, "excuses/david") == ("1", 1)
    assert [row["excuse"] for row in office.rows("excuses/david")] == ["storm"]


# --- issued by itself -----------------------------------------------------------------------------


def test_it_is_issued_and_sent_at_the_hour_once(office: Office) -> None:
    week_45(office)
    office.now = berlin("2026-11-09T06:59:00")
    assert office.reporting.issue_due(office.now) == 0
    office.now = berlin("2026-11-09T07:00:00")
    assert office.reporting.issue_due(office.now) == 2
    told = [("2026-W45", "executive_sponsor"), ("2026-W45", "person:claire")]
    assert office.queued() == told
    assert office.report("--week", "2026-W45").issue == 1
    assert office.reporting.issue_due(office.now) == 0
    office.close()
    office.start()
    assert office.reporting.issue_due(Instant(office.now + HOUR)) == 0
    assert office.queued() == told


def test_a_service_that_was_down_at_the_hour_sends_once_when_it_is_back(office: Office) -> None:
    week_45(office)
    office.close()
    office.now = berlin("2026-11-25T15:00:00")  # a Wednesday, two weeks later
    office.start()
    assert office.reporting.issue_due(office.now) == 2
    assert {key for key, _ in office.queued()} == {"2026-W47"}
    assert office.reporting.issue_due(office.now) == 0


def test_a_service_on_the_database_of_a_replay_issues_what_is_due_now(office: Office) -> None:
    with office.embedded.store.transaction() as tx:
        tx.put_setting(REPLAYED, str(BEGIN))
    week_45(office)
    assert office.reporting.issue_due(berlin("2026-11-09T07:00:00")) == 2


def test_nothing_is_due_from_before_the_store_or_from_before_it_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, migrated_database: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    office = Office(tmp_path, POLICY, migrated_database)
    office.now = berlin("2026-11-11T09:00:00")
    assert office.reporting.issue_due(office.now) == 0
    office.close()
    (tmp_path / "policy.yaml").write_text(POLICY + REPORTING)
    office.start()
    assert office.reporting.issue_due(office.now) == 0  # Monday's hour was before it was wanted
    office.now = berlin("2026-11-16T07:00:00")
    assert office.reporting.issue_due(office.now) == 2
    office.close()


def test_reports_follow_the_policy_that_another_process_puts_in_force(office: Office) -> None:
    week_45(office)
    store, knowledge = office.embedded.store, office.embedded.knowledge
    with store.reading() as tx:
        _, version = in_force(tx)
    alone, beside_others = Reporting(store, knowledge), Reporting(store, knowledge, version)
    office.now = berlin("2026-11-09T07:00:00")
    (office.folder / "policy.yaml").write_text(POLICY)  # which asks for no digest
    establish(store, office.settings, office.now)
    assert beside_others.issue_due(office.now) == 0
    assert alone.issue_due(office.now) == 2


def test_two_schedulers_issue_and_send_once(office: Office) -> None:
    week_45(office)
    office.now = berlin("2026-11-09T07:00:00")
    other = Reporting(office.embedded.store, office.embedded.knowledge)
    assert other.issue_due(office.now) == 2
    office.reporting.issue_due(office.now)
    assert len(office.queued()) == 2
    # One that had looked before the other was done: it issues and queues the same, for nothing.
    with office.embedded.store.transaction() as tx:
        tx.put_setting("told digest", "")
    office.reporting.issue_due(office.now)
    assert len(office.queued()) == 2
    assert office.report("--week", "2026-W45").issue == 1


def test_late_events_restate_what_was_issued_when_the_next_one_is(office: Office) -> None:
    week_45(office)
    office.reporting.issue_due(berlin("2026-11-09T07:00:00"))
    office.at("2026-11-10T09:00:00")
    office.reply("T-3", "2026-11-03T10:30:00")
    office.reporting.issue_due(berlin("2026-11-16T07:00:00"))
    office.now = berlin("2026-11-16T08:00:00")
    assert office.report("--week", "2026-W45").issue == 2
    notes = office.report("--week", "2026-W46").notes
    assert any("2026-W45 (issue 2)" in note for note in notes)
    assert [key for key, _ in office.queued()] == ["2026-W45"] * 2 + ["2026-W46"] * 2


def test_the_four_weeks_before_are_looked_at_again_when_the_next_is_issued(
    office: Office,
) -> None:
    week_45(office)
    for monday in ("2026-11-09", "2026-11-16", "2026-11-23", "2026-11-30"):
        office.reporting.issue_due(berlin(f"{monday}T07:00:00"))
    office.at("2026-12-01T09:00:00")
    office.reply("T-3", "2026-11-03T10:30:00")
    office.reporting.issue_due(berlin("2026-12-07T07:00:00"))
    office.at("2026-12-08T09:00:00")
    assert office.report("--week", "2026-W45").issue == 2
    office.reply("T-2", "2026-11-03T10:45:00")
    office.reporting.issue_due(berlin("2026-12-14T07:00:00"))
    office.at("2026-12-14T09:00:00")
    assert office.report("--week", "2026-W45").issue == 2  # no digest that is issued shows it


def test_a_month_that_still_runs_west_of_us_is_issued_once_it_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, migrated_database: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    policy = (
        POLICY + '  new_york: {timezone: America/New_York, hours: {mon-fri: ["09:00-17:00"]}}\n'
    )
    policy += 'reporting: {scorecard: {day: 1, at: "01:00"}}\n'
    office = Office(tmp_path, policy, migrated_database)
    office.close()
    west = DIRECTORY.replace("kontor: {", "kontor: {calendar: new_york, ")
    (tmp_path / "directory.yaml").write_text(west)
    office.start()
    found = [
        office.reporting.issue_due(berlin(f"2026-12-01T{hour}:00:00")) for hour in ("01", "07")
    ]
    office.close()
    assert found == [1, 2]


def test_scorecards_of_the_month_before_are_issued_for_each_partner(office: Office) -> None:
    office.at("2026-11-03T09:00:00")
    office.ticket("T-1")
    assert office.reporting.issue_due(berlin("2026-12-02T05:59:00")) == 2  # a digest
    assert office.reporting.issue_due(berlin("2026-12-02T06:00:00")) == 2
    assert office.reporting.issue_due(berlin("2026-12-02T07:00:00")) == 0
    cards = [key for key, _ in office.queued() if "/" in key]
    assert cards == ["2026-11/kontor", "2026-11/nordlicht"]
    reports = stored_reports(office.embedded.store)
    found = reports(ReportName("scorecard", "2026-11/nordlicht"))
    assert found is not None
    assert "Nordlicht GmbH" in found.text
    assert reports(ReportName("scorecard", "2026-10/nordlicht")) is None


# --- kept in step ---------------------------------------------------------------------------------


def test_a_directory_that_changes_a_tier_counts_anew(office: Office) -> None:
    week_45(office)
    before = office.report("--week", "2026-W45")
    assert figure(before, "attainment/strategic/first_response")[1] == 3
    office.close()
    changed = DIRECTORY.replace("tier: strategic", "tier: standard")
    (office.folder / "directory.yaml").write_text(changed)
    office.start()
    after = office.report("--week", "2026-W45")
    assert after.figure("attainment/strategic/first_response") is None
    assert figure(after, "attainment/standard/first_response") == ("66.6 %", 3)


def test_posting_that_breaks_off_is_done_again(office: Office) -> None:
    week_45(office)
    office.reporting.post(office.now)
    office.reply("T-3")
    store = office.embedded.store

    class PowerCutError(Exception):
        pass

    def post_and_break_off() -> None:
        with store.transaction() as tx:
            taken = tx.take_unposted(office.now, 10)
            nothing = dict.fromkeys(taken, Posting((), (), None))
            tx.write_postings(nothing, office.embedded.knowledge.policy.default_calendar.zone)
            assert tx.count_unposted(office.now) == 0
            raise PowerCutError

    with pytest.raises(PowerCutError):
        post_and_break_off()
    with store.reading() as tx:
        assert tx.count_unposted(office.now) == 1
    assert figure(office.report("--week", "2026-W45"), "unresolved/strategic")[1] == 3
    with store.reading() as tx:
        assert tx.count_unposted(office.now) == 0


def ticket_case(name: str) -> str:
    return case_id(subject_key(Kind.TICKET, "nordlicht", name))


def test_control_totals_count_each_event_once_on_the_day_that_it_bears(office: Office) -> None:
    office.at("2026-11-03T09:00:00")
    office.ticket("T-1", at="2026-11-02T00:00:00")  # the end of Sunday, which is week 44
    office.ticket("T-2")
    office.reply("T-2", "2026-11-02T00:00:00.000001")
    office.events -= 1  # the same once more
    office.reply("T-2", "2026-11-02T00:00:00.000001", outcome=Duplicate)
    report = office.report("--week", "2026-W45")
    totals = {(c.name, c.source): c.counted for c in report.controls}
    assert totals == {
        ("events", "/helpdesk"): 2,
        ("events", "all"): 2,
        ("messages", "/helpdesk"): 1,
        ("messages", "all"): 1,
        ("tickets", "/helpdesk"): 1,
        ("tickets", "all"): 1,
    }


def test_a_digest_names_the_policy_that_was_in_force_when_its_week_ended(office: Office) -> None:
    week_45(office)
    before = office.embedded.knowledge.policy.hash
    office.close()
    (office.folder / "policy.yaml").write_text(POLICY)
    office.start()
    assert office.report("--week", "2026-W45").policy == before
    office.at("2026-11-16T06:00:00")
    now = office.embedded.knowledge.policy.hash
    assert office.report("--week", "2026-W46").policy == now != before


def test_a_ledger_that_is_made_anew_says_the_same(office: Office) -> None:
    week_45(office)
    before = office.ok("--json", "--week", "2026-W45")
    assert office.ok("--json", "--week", "2026-W45", "--rebuild") == before


def test_what_people_took_out_of_the_figures_stands_beside_them(office: Office) -> None:
    office.at("2026-11-03T09:00:00")
    office.ticket("T-1", severity="high")
    office.ticket("T-2")
    office.at("2026-11-03T11:00:01")  # both are late: two cases at management
    case = ticket_case("T-1")
    office.say("case.acknowledged", case_id=case, actor="claire", bulk=True)
    office.say("case.deescalated", case_id=case, actor="claire")
    office.say("case.disputed", case_id=ticket_case("T-2"), actor="anna", evidence="mail")
    office.at("2026-11-03T12:00:00")
    office.say("ticket.status", ticket_id="T-2", status="waiting_on_partner")
    office.say("ticket.status", ticket_id="T-1", status="open", severity="low", actor="anna",
               agreed_by="Mme Petit")  # fmt: skip
    office.at("2026-11-04T10:00:00")
    office.say("case.dispute_decided", case_id=ticket_case("T-2"), actor="david", verdict="upheld")
    office.at("2026-11-13T10:00:00")
    office.say("case.disputed", case_id=case, actor="anna", evidence="signed")
    office.at("2026-11-16T06:00:00")
    report = office.report("--week", "2026-W45")
    shown = {
        name: figure(report, name)[0]
        for name in ("acknowledged-in-bulk/all", "downgrades/anna", "moved-down/claire",
                     "pauses//helpdesk",
                     "disputes/opened", "disputes/upheld", "disputes/undecided")
    }  # fmt: skip
    assert shown == {
        "acknowledged-in-bulk/all": "1",
        "downgrades/anna": "1",
        "moved-down/claire": "1",
        "pauses//helpdesk": "1",
        "disputes/opened": "1",
        "disputes/upheld": "1",
        "disputes/undecided": "0",
    }
    [lowered] = office.rows("downgrades/anna", "--week", "2026-W45")
    assert (lowered["name"], lowered["metric"], lowered["actor"], lowered["at"]) == (
        f"{case}/resolution/1 2026-11-03T11:00:00Z", "resolution", "anna", "2026-11-03T11:00:00Z",
    )  # fmt: skip
    assert lowered["agreed_by"] == "Mme Petit"
    assert "Mme Petit" in office.ok("--explain", "downgrades/anna", "--week", "2026-W45")
    [moved] = office.rows("moved-down/claire", "--week", "2026-W45")
    assert (moved["case"], moved["kind"]) == (case, "deescalated")
    assert moved["partner"] == "nordlicht"
    assert "Anna Lindner" not in report.model_dump_json()  # people only where the policy says so
    later = office.report("--week", "2026-W46")
    assert figure(later, "disputes/undecided")[0] == "1"
    asked = [row["what"] for row in office.rows("decisions/all", "--week", "2026-W46")]
    assert "dispute" in asked
    assert "long pause" in asked
    office.at("2026-11-23T06:00:00")
    assert figure(office.report("--week", "2026-W47"), "disputes/undecided")[0] == "1"


def test_a_pause_counts_in_each_week_that_it_touches_and_its_time_where_it_ends(
    office: Office,
) -> None:
    office.at("2026-11-05T09:00:00")  # a Thursday
    office.ticket("T-1")
    office.say("ticket.status", ticket_id="T-1", status="waiting_on_partner", actor="anna")
    office.at("2026-11-10T11:00:00")
    office.say("ticket.status", ticket_id="T-1", status="open", actor="anna")
    office.at("2026-11-23T06:00:00")

    def by_anna(week: str) -> list[str]:
        rows = rows_of(office.report("--week", week), "interventions")
        return [text for row in rows for text in row[1:3]]

    assert by_anna("2026-W45") == ["1", "0.0 h"]
    assert by_anna("2026-W46") == ["1", "122.0 h"]  # from Thursday 9:00 to Tuesday 11:00
    assert by_anna("2026-W47") == []
    [lasting] = office.rows("pauses/anna", "--week", "2026-W45")
    [ended] = office.rows("pauses/anna", "--week", "2026-W46")
    assert (lasting["not_counted_seconds"], ended["not_counted_seconds"]) == (None, 122 * 3600)
    assert lasting["name"] == ended["name"]


async def test_a_service_sends_the_digest_to_those_who_read_it(office: Office) -> None:
    week_45(office)
    office.now = berlin("2026-11-09T08:00:00")  # it was down at seven
    written = asyncio.Event()

    class Terminal(io.StringIO):
        def write(self, text: str) -> int:
            found = super().write(text)
            written.set()
            return found

    terminal, end = Terminal(), "How it was made"
    files = (office.folder / "policy.yaml", office.folder / "directory.yaml")
    settings = Settings(office.url, "127.0.0.1", 0, *files)
    service = Service(office.embedded, settings, lambda: office.now, terminal, environment={})
    running = asyncio.create_task(service.run(lambda: None))
    async with asyncio.timeout(30):
        # Its own two readers: the executive sponsor and Claire.
        while terminal.getvalue().count(end) < 2 and not running.done():
            written.clear()
            await written.wait()
    service.stop()
    await running
    assert terminal.getvalue().count(end) == 2
    assert office.report("--week", "2026-W45").issue == 1
