"""The commands about cases, as the people who type them see them: real stores, the whole road."""

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from detente.cli import cli
from detente.embedded import wall_clock
from rules.decision import Changes, Kind, Rejected
from rules.subjects import case_id, subject_key
from schemas.time import DAY, HOUR, SECOND, Instant, iso, to_instant
from streams.horizon import DOWN_SINCE, UP_SINCE
from streams.records import RawRecord
from streams.store import DeliveryRow, DeliveryStatus, OutboxStatus
from tests.keyboard import DIRECTORY, Keyboard

POLICY = """
rules:
  - {name: late-delivery, when: {delay: "> 48h"}, open_at: management}
  - {name: shortfall, when: {impact: "> 0%"}, open_at: watch}
  - {name: costly, when: {partner_tier: strategic, exposure: "> 500 EUR"}, open_at: frontline}
ladders:
  default:
    frontline: {notify: account_manager, acknowledge_within: 4h}
    management: {notify: partnership_manager, acknowledge_within: 2h, resolve_within: 3d,
                 remind_every: 1h, remind_at_most: 5}
    executive: {notify: executive_sponsor, acknowledge_within: 1h}
partner_tiers: [strategic, standard]
calendars:
  default: {timezone: Europe/Berlin, hours: {mon-fri: ["09:00-17:00"]}}
"""
HOURLY = POLICY + "sources: {/erp: {cadence: 1h}}\n"
#: A Monday, 10:00 in Berlin.
MONDAY = to_instant(datetime.fromisoformat("2026-11-02T10:00:00+01:00"))


class Shop(Keyboard):
    """A shop, with a person at a keyboard."""

    def say(self, type_: str, time: int, source: str = "/erp", **data: Any) -> None:
        self.take(type_, time, data, source)

    def order(self, name: str, promised: int, partner: str = "kontor") -> str:
        """An order; gives the id of the case that it gets if it is late."""
        self.say("order.placed", promised - 5 * DAY, partner_id=partner, order_id=name,
                 promised_at=iso(promised), currency="EUR",
                 lines=[{"sku": "cup", "quantity": 100, "unit_price": "10"}])  # fmt: skip
        return case_id(subject_key(Kind.ORDER, partner, name))

    def late(self, name: str = "PO-1", partner: str = "kontor", by: int = 60 * HOUR) -> str:
        """An order that is late now, with its case open at management."""
        found = self.order(name, self.now - by, partner)
        self.tick()
        return found

    def refused(self, *args: str, actor: str | None = "claire") -> str:
        result = self.run(*args, actor=actor)
        assert result.exit_code == 1, (result.exit_code, result.output)
        return result.output

    def document(self, *args: str) -> Any:
        return json.loads(self.ok(*args, "--json"))


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    # Nothing of this is in the folder in which commands look for policy.yaml.
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    shops: list[Shop] = []

    def at(now: Instant, policy: str = POLICY) -> Shop:
        shops.append(Shop(tmp_path, now, policy))
        return shops[-1]

    yield at
    for shop in shops:
        shop.close()


@pytest.fixture
def shop(make: Any) -> Shop:
    """A shop on a fixed Monday: for commands that only read."""
    found: Shop = make(MONDAY)
    return found


@pytest.fixture
def hourly(make: Any) -> Shop:
    """The same, and /erp should speak every hour."""
    found: Shop = make(MONDAY, HOURLY)
    return found


@pytest.fixture
def today(make: Any) -> Shop:
    """A shop at this very moment: commands that write decide by the clock on the wall."""
    found: Shop = make(wall_clock())
    found.is_frozen = False
    return found


def rows(output: str) -> list[str]:
    return [line.split()[0] for line in output.splitlines() if line.startswith("C-")]


# --- cases ----------------------------------------------------------------------------------------


def test_cases_lists_what_stands_open_the_soonest_due_first(shop: Shop) -> None:
    early = shop.late("PO-1", by=60 * HOUR)
    shop.now = Instant(shop.now + HOUR // 2)
    late = shop.late("PO-2", by=50 * HOUR)
    shop.order("PO-3", shop.now + DAY)
    shop.say("order.impacted", shop.now, partner_id="kontor", order_id="PO-3", kind="short",
             quantity=1)  # fmt: skip
    output = shop.ok("cases")
    assert rows(output) == [early, late]
    assert "in 90 min to acknowledge" in output or "in 1 h to acknowledge" in output
    assert "partnership manager" in output
    assert "kontor (standard)" in output
    assert output.splitlines()[-1] == "2 cases."
    assert len(rows(shop.ok("cases", "--all"))) == 3
    assert len(rows(shop.ok("cases", "--tier", "watch"))) == 1


def test_filters_combine(shop: Shop) -> None:
    one = shop.late("PO-1", "kontor", by=10 * DAY)
    two = shop.late("PO-2", "nordlicht", by=10 * DAY)
    three = shop.late("PO-3", "nordlicht", by=60 * HOUR)
    assert set(rows(shop.ok("cases", "--partner", "nordlicht"))) == {two, three}
    assert rows(shop.ok("cases", "--partner", "nordlicht", "--older-than", "3d")) == [two]
    assert set(rows(shop.ok("cases", "--older-than", "3d"))) == {one, two}
    assert rows(shop.ok("cases", "--state", "acknowledged")) == []
    assert len(rows(shop.ok("cases", "--limit", "1"))) == 1


def test_cases_says_plainly_that_nothing_matches(shop: Shop) -> None:
    assert shop.ok("cases") == "No case stands open.\n"
    output = shop.ok("cases", "--partner", "nordlich", "--tier", "executiv")
    assert "No case matches: partner nordlich, tier executiv." in output
    assert "Did you mean nordlicht?" in output
    assert "tiers are watch, frontline, management, executive" in output


def test_cases_as_a_document(shop: Shop) -> None:
    case = shop.late()
    found = shop.document("cases")
    assert found["found"] == 1
    (listed,) = found["cases"]
    assert listed["case"] == case
    assert listed["subject"] == {"kind": "order", "name": "PO-1", "key": "order:kontor:PO-1"}
    assert listed["rules"] == ["late-delivery"]
    assert listed["due"] == "2026-11-02T11:00:00Z"
    assert (listed["state"], listed["tier"], listed["owner"]) == ("open", "management", None)


def test_an_overdue_case_says_by_how_much(shop: Shop) -> None:
    shop.late()
    shop.now = Instant(shop.now + 5 * HOUR)  # nobody has ticked since
    output = shop.ok("cases")
    assert "3 h overdue to acknowledge" in output
    assert "1 case; 1 overdue, the longest by 3 h." in output


def test_an_age_in_business_hours_is_refused(shop: Shop) -> None:
    result = shop.run("cases", "--older-than", "2bd")
    assert result.exit_code == 2
    assert "write e.g. 30min, 4h, 3d, 2w" in result.output


# --- one case -------------------------------------------------------------------------------------


def test_a_case_is_found_by_the_beginning_of_its_id(shop: Shop) -> None:
    case = shop.late()
    for typed in (
        case,
        case.lower(),
        case[2:],
        case[2:6].lower(),
        case.replace("1", "I").replace("0", "O"),
    ):
        assert case in shop.ok("case", typed)


def test_a_beginning_that_several_have_names_them(shop: Shop) -> None:
    cases: dict[str, list[str]] = {}
    for n in range(40):
        case = shop.late(f"PO-{n}")
        cases.setdefault(case[2], []).append(case)
    letter, same = next((k, v) for k, v in cases.items() if len(v) > 1)
    output = shop.refused("case", letter)
    assert all(case in output for case in same)


def test_an_unknown_case_is_said_to_be_unknown(shop: Shop) -> None:
    assert "there is no case C-ZZZ" in shop.refused("case", "zzz")
    assert "is not the id of a case" in shop.refused("case", "C-%")


def test_the_story_tells_what_happened_and_who_was_told(shop: Shop) -> None:
    case = shop.late()
    with shop.store.transaction() as tx:
        alert = next(e for e in tx.list_outbox() if e.effect.kind == "alert")
        told = DeliveryRow(alert.seq, alert.effect.effect_id, "k1", case, "claire", "1 terminal",
                           DeliveryStatus.SENT, shop.now)  # fmt: skip
        shadow = replace(told, idempotency_key="k2", person="anna", detail="would have told Bob",
                         status=DeliveryStatus.WOULD_HAVE_TOLD)  # fmt: skip
        tx.insert_deliveries([told, shadow, replace(told, status=DeliveryStatus.DROPPED,
                                                    person="david", detail="quiet")])  # fmt: skip
    output = shop.ok("case", case)
    assert "2026-11-01 22:00 CET  opened at management" in output
    assert "decided 2026-11-02 10:00 CET" in output
    assert "over 48 h late > 48h" in output
    assert "to be acknowledged by 2026-11-02 12:00 CET" in output
    assert "told Claire Dubois to acknowledge by terminal, 2026-11-02 10:00 CET" in output
    assert "in shadow: would have told Bob; Anna Lindner was told so by terminal" in output
    assert "did not tell David Okafor: quiet" in output
    # An effect that nobody has looked at yet is shown as well.
    assert "the account manager (Anna Lindner) is about to be told for information" in output


def test_what_was_taken_back_is_marked(shop: Shop) -> None:
    case = shop.late()
    shop.say("delivery.completed", shop.now, partner_id="kontor", order_id="PO-1",
             delivery_id="D1", delivered_at=iso(shop.now - 90 * HOUR), final=True)  # fmt: skip
    output = shop.ok("case", case)
    opened = output.index("opened at management")
    assert "withdrawn 2026-11-02 10:00 CET: no longer true" in output[opened:]
    assert "retracted" in output.splitlines()[1]
    steps = shop.document("case", case)["steps"]
    assert [step["kind"] for step in steps if step["withdrawn_at"]] == ["opened"]


# --- verbs ----------------------------------------------------------------------------------------


def test_an_acknowledgement_stops_the_escalation(today: Shop) -> None:
    case = today.late()
    output = today.ok("ack", case, "--note", "calling them")
    assert f"{case} acknowledged by Claire Dubois." in output
    assert "now acknowledged at management" in output
    assert "to be resolved by" in output
    steps = today.document("case", case)["steps"]
    assert (steps[-1]["actor"], steps[-1]["note"]) == ("claire", "calling them")
    assert steps[-1]["summary"] == "acknowledged by claire"  # programs go by ids
    assert "acknowledged by Claire Dubois" in today.ok("case", case)
    assert "acknowledged by Claire Dubois" in today.ok("explain", case)
    assert steps[-1]["events"][-1]["source"] == "/cli"


def test_an_acknowledgement_from_somebody_else_is_a_comment_and_says_why(today: Shop) -> None:
    case = today.late()
    output = today.refused("ack", case, "--as", "david")
    assert "was not changed: David Okafor is not the partnership manager" in output
    assert "with --take-over it is yours" in output
    assert today.document("case", case)["state"] == "open"
    today.ok("ack", case, "--as", "david", "--take-over")
    assert today.document("case", case)["owner"] == "david"


def test_many_at_once_are_marked_so(today: Shop) -> None:
    one, two = today.late("PO-1"), today.late("PO-2")
    output = today.ok("ack", one, two)
    assert output.count("with others at once") == 2
    single = today.late("PO-3")
    assert "at once" not in today.ok("ack", single, single)


def test_whose_turn_it_is_after_the_owner_handed_a_case_up(today: Shop) -> None:
    case = today.late()
    assert "partnership manager" in today.ok("cases")
    today.ok("ack", case)
    assert "Claire Dubois" in today.ok("cases")
    today.ok("escalate", case)
    assert "executive sponsor, Claire Dubois" in today.ok("cases")
    output = today.ok("case", case)
    assert "owner: Claire Dubois" in output
    assert "asked: the executive sponsor (David Okafor)" in output


def test_of_many_the_settled_one_is_named_and_the_others_are_done(today: Shop) -> None:
    one, two = today.late("PO-1"), today.late("PO-2")
    today.ok("resolve", one, "--root-cause", "lorry")
    output = today.refused("ack", one, two)
    assert f"{one} is resolved already; `detente reopen` opens it again." in output
    assert f"{two} acknowledged by Claire Dubois" in output


def test_an_unknown_case_among_many_stops_all(today: Shop) -> None:
    case = today.late()
    assert "there is no case" in today.refused("ack", case, "zzz")
    assert today.document("case", case)["state"] == "open"


def test_an_unknown_person_is_warned_of(today: Shop) -> None:
    case = today.late()
    output = today.run("ack", case, "--as", "clare").output
    assert "the directory knows nobody called clare" in output
    assert "Did you mean claire?" in output
    assert "anna, claire, david" in output
    assert "assigned to David Okafor" in today.ok("assign", case, "--to", "David Okafor")


def test_a_root_cause_is_required_where_nobody_can_be_asked(today: Shop) -> None:
    case = today.late()
    result = today.run("resolve", case)
    assert result.exit_code == 2
    assert "--root-cause" in result.output
    today.ok("resolve", case, "--root-cause", "lorry", "--action", "sent another")
    last = today.document("case", case)["steps"][-1]
    assert last["why"] == ["root cause: lorry", "action: sent another"]


def test_a_case_through_its_life(today: Shop) -> None:
    case = today.late()
    assert "assigned to Anna Lindner by Claire Dubois" in today.ok("assign", case, "--to", "anna")
    assert "now open at executive" in today.ok("escalate", case)
    assert "now open at management" in today.ok("deescalate", case)
    assert "there is no tier 'boss'" in today.refused("escalate", case, "--to", "boss")
    assert "comes back" in today.ok("snooze", case, "--until", "3d")
    assert "now waiting on partner" in today.ok("waiting", case, actor="anna")
    assert "comment by Claire Dubois" in today.ok("comment", case, "-m", "all calm")
    assert "judged under the policy" in today.ok("move", case)
    assert "now resolved" in today.ok("resolve", case, "--root-cause", "lorry")
    assert "now open at management" in today.ok("reopen", case)
    assert "it cannot be reopened" in today.refused("reopen", case)
    assert "now closed" in today.ok("close", case)


def test_a_dispute_is_decided_by_somebody_else(today: Shop) -> None:
    case = today.late()
    assert "is not disputed" in today.refused("decide-dispute", case, "--verdict", "upheld")
    today.ok("assign", case, "--to", "anna")
    assert "disputed" in today.ok("dispute", case, "--evidence", "note 4711", actor="anna")
    owner = today.refused("decide-dispute", case, "--verdict", "corrected", actor="anna")
    assert "owns the case and cannot decide" in owner
    assert "now retracted" in today.ok("decide-dispute", case, "--verdict", "corrected")
    assert "was retracted" in today.refused("ack", case)


def test_a_watch_cannot_be_worked_on(today: Shop) -> None:
    case = today.order("PO-1", today.now + DAY)
    today.say("order.impacted", today.now - HOUR, partner_id="kontor", order_id="PO-1",
              kind="short", quantity=1)  # fmt: skip
    assert "is only watched" in today.refused("ack", case)


@pytest.mark.parametrize("until", ["2020-01-01", "soon", "25:00", ""])
def test_a_time_that_is_none_to_come_is_refused(today: Shop, until: str) -> None:
    output = today.refused("snooze", today.late(), "--until", until)
    assert "has passed" in output or "is no time to come" in output


def test_a_day_to_snooze_until_is_when_business_opens(today: Shop) -> None:
    output = today.ok("snooze", today.late(), "--until", "2099-03-03", "--json")
    (result,) = json.loads(output)["results"]
    assert result["done"] is True
    assert result["due"] == "2099-03-03T08:00:00Z"  # a Tuesday, nine o'clock in Berlin


def test_an_empty_place_says_what_to_do(shop: Shop) -> None:
    output = shop.refused("cases", "--db", f"sqlite:///{shop.folder / 'nothing.db'}")
    assert "there is no database" in output
    assert not (shop.folder / "nothing.db").exists()


# --- explain --------------------------------------------------------------------------------------


def test_explain_says_what_happens_next_and_whom_it_reaches(shop: Shop) -> None:
    output = shop.ok("explain", shop.late())
    receipt, future = output.split("What happens next")
    assert "rules: late-delivery; policy " in receipt
    assert "from order.placed /erp#e1" in receipt
    assert "Claire Dubois reminded every 1h, at most 5 times" in future
    assert "2026-11-02 12:00 CET  escalated to executive (David Okafor)" in future
    assert "because management (partnership manager) did not acknowledge in time" in future
    assert "2026-11-02 13:00 CET  not escalated: executive is the last tier" in future


def test_explain_foresees_what_the_service_then_decides(shop: Shop) -> None:
    case = shop.late()
    foreseen = shop.document("explain", case)["next"]
    for n, expected in enumerate(foreseen, 1):
        moment = _instant(expected["expected_at"])
        # The service is a second late each time, and what follows starts from there.
        shop.now = Instant(max(shop.now, moment + n * SECOND))
        shop.tick()
    steps = {step["key"]: step for step in shop.document("case", case)["steps"]}
    assert foreseen
    for expected in foreseen:
        happened = steps[expected["key"]]
        assert (happened["tier"], happened["summary"]) == (expected["tier"], expected["summary"])
        late = _instant(happened["at"]) - _instant(expected["at"])
        assert 0 <= late <= len(foreseen) * SECOND


def _instant(text: str) -> Instant:
    return to_instant(datetime.fromisoformat(text))


def test_explain_says_why_there_is_no_case(shop: Shop) -> None:
    shop.order("PO-9", MONDAY + DAY)
    output = shop.ok("explain", "--order", "kontor", "PO-9")
    assert "order PO-9 of kontor (standard)" in output
    assert "There is no case about it." in output
    assert "delay > 48h  unknown: promised 2026-11-03 10:00 CET" in output
    assert "partner_tier: strategic  fails: the partner is standard" in output
    assert "2026-11-05 10:00 CET  opened at management (Claire Dubois)" in output


def test_explain_names_the_feed_that_holds_a_deadline(hourly: Shop) -> None:
    shop = hourly
    shop.order("PO-9", MONDAY - 47 * HOUR)
    shop.order("PO-10", MONDAY + 5 * DAY)
    shop.now = Instant(MONDAY + 3 * HOUR)  # /erp should have spoken two hours ago
    shop.tick()
    output = shop.ok("explain", "--order", "kontor", "PO-9")
    assert "There is no case about it." in output
    assert "held until these feeds are heard of: /erp (silent)" in output
    assert "now  opened at management" in output


def test_explain_holds_no_deadline_that_was_decided_before_a_gap(shop: Shop) -> None:
    case = shop.late("PO-9")
    with shop.store.transaction() as tx:  # the service was down since, and is back
        tx.put_setting(DOWN_SINCE, str(shop.now - 40 * HOUR))
        tx.put_setting(UP_SINCE, str(shop.now))
    assert "held until these feeds are heard of" not in shop.ok("explain", case)
    held = json.loads(shop.ok("explain", case, "--json"))["held"]
    assert held == {"deadlines": [], "waits_for": []}


def test_an_unknown_order_names_its_neighbours(shop: Shop) -> None:
    for n in (17, 18, 400):
        shop.order(f"PO-{n}", MONDAY + DAY)
    output = shop.refused("explain", "--order", "kontor", "PO-1")
    assert "nothing is known of order PO-1 of partner kontor" in output
    assert "PO-17" in output
    assert "Did you mean kontor?" in shop.refused("explain", "--order", "kontr", "PO-17")


def test_explain_wants_one_thing(shop: Shop) -> None:
    assert shop.run("explain").exit_code == 2
    assert shop.run("explain", "C-1", "--order", "a", "b").exit_code == 2


def test_an_order_in_place_of_a_case_is_answered_with_how_to_ask_for_it(shop: Shop) -> None:
    shop.order("PO-1", MONDAY + DAY)
    assert "`detente explain --order PARTNER ORDER`" in shop.refused("explain", "PO-1")
    assert "There is no case about it" in shop.ok("explain", "--order", "kontor", "PO-1")


def test_a_misspelt_command_is_answered_with_the_nearest(shop: Shop) -> None:
    result = shop.run("chek")
    assert result.exit_code == 2
    assert "No such command 'chek'. Did you mean check?" in result.output


def test_the_command_that_explain_names_can_be_typed_as_it_stands(shop: Shop) -> None:
    case = shop.late("PO 1", partner="Biotech & Sons, Plc")
    [named] = [line for line in shop.ok("explain", case).splitlines() if "Every rule" in line]
    output = shop.ok(*shlex.split(named.partition(": detente ")[2]))
    assert "order PO 1 of Biotech & Sons, Plc" in output


def test_explain_a_ticket(shop: Shop) -> None:
    shop.say("ticket.opened", shop.now, partner_id="kontor", ticket_id="T-1", category="delivery")
    output = shop.ok("explain", "--ticket", "kontor", "T-1")
    assert "ticket T-1 of kontor (standard)" in output
    assert "never about tickets: late-delivery, shortfall, costly" in output


# --- rejected -------------------------------------------------------------------------------------


def reject(shop: Shop, value: bytes, kind: str = "unknown type") -> int:
    kept = Rejected("old.jsonl", "line 3", "not known then", kind, value, shop.now)
    with shop.store.transaction() as tx:
        tx.write(Changes(rejected=[kept]))
        return tx.list_rejected()[-1].id


def event_bytes(order: str = "PO-7") -> bytes:
    data = {"partner_id": "kontor", "order_id": order, "promised_at": "2099-01-01",
            "lines": [{"sku": "cup", "quantity": 1}]}  # fmt: skip
    return json.dumps({"specversion": "1.0", "id": order, "source": "/erp", "type": "order.placed",
                       "time": "2026-11-01T10:00:00Z", "data": data}).encode()  # fmt: skip


def test_rejected_input_is_listed_and_shown_safely(shop: Shop) -> None:
    assert "Nothing waits" in shop.ok("rejected")
    row = reject(shop, b'{"a":"\x1b[31m\xff"}\nsecond', "malformed")
    listed = shop.ok("rejected")
    assert "old.jsonl, line 3" in listed
    assert "not known then" in listed
    assert shop.document("rejected", "--reason-kind", "unknown type")["rejected"] == []
    output = shop.ok("rejected", "--show", str(row))
    assert '  {"a":"\\x1b[31m\\xff"}\n  second' in output
    assert "\x1b" not in output
    assert "there is no rejected input 99" in shop.refused("rejected", "--show", "99")


def test_a_command_that_waits_for_its_case_is_seen_waiting(shop: Shop) -> None:
    case = case_id(subject_key(Kind.ORDER, "kontor", "PO-9"))
    event = {"specversion": "1.0", "id": "early", "source": "/desk", "type": "case.acknowledged",
             "time": iso(shop.now), "data": {"case_id": case, "actor": "claire"}}  # fmt: skip
    shop.embedded.handler.take([RawRecord("desk", "1", json.dumps(event).encode())], shop.now)
    listed = shop.ok("rejected")
    assert "wait for a case that does not exist yet" in listed
    assert case in listed
    assert "/desk early" in listed
    waiting = shop.document("rejected")["waiting_for_a_case"]
    assert [(row["case_id"], row["id"]) for row in waiting] == [(case, "early")]

    shop.late("PO-9")
    assert "Nothing waits" in shop.ok("rejected")


def test_what_is_understood_now_is_taken_when_it_is_driven_again(shop: Shop) -> None:
    row = reject(shop, event_bytes())
    assert f"{row}: taken\n1 of 1 taken." in shop.ok("rejected", "--retry", str(row))
    assert "Nothing waits" in shop.ok("rejected")
    assert "order PO-7" in shop.ok("explain", "--order", "kontor", "PO-7")
    assert "was driven again before" in shop.refused("rejected", "--retry", str(row))


def test_what_is_refused_again_is_kept_with_its_place(shop: Shop) -> None:
    row = reject(shop, b'{"specversion":"1.0"}')
    output = shop.refused("rejected", "--retry-all")
    assert "not taken, and kept anew" in output
    (again,) = shop.document("rejected")["rejected"]
    assert again["id"] != row
    assert (again["input"], again["position"]) == ("old.jsonl", "line 3")


def test_what_came_again_is_one_in_the_list_and_when_it_is_driven_again(shop: Shop) -> None:
    first, second = reject(shop, event_bytes()), reject(shop, event_bytes())
    reject(shop, event_bytes("PO-8"))
    lines = shop.ok("rejected").splitlines()
    assert [line.split()[0] for line in lines] == ["id", str(first), str(second + 1)]
    assert "  2  unknown type" in lines[1]
    assert "  1  unknown type" in lines[2]
    assert "1 of 2; --limit says" in shop.ok("rejected", "--limit", "1")
    assert shop.document("rejected")["found"] == 3  # nothing is dropped
    assert f"{first}: taken\n1 of 1 taken." in shop.ok("rejected", "--retry", str(second))
    assert [row["id"] for row in shop.document("rejected")["rejected"]] == [second + 1]


def test_a_row_of_a_table_is_mended_in_its_file(shop: Shop) -> None:
    row = reject(shop, b"PO-1;kontor;abc\n", "malformed")
    output = shop.refused("rejected", "--retry", str(row))
    assert "is not an event: mend old.jsonl and import it again" in output
    assert shop.document("rejected")["found"] == 1


def test_an_event_that_could_not_be_decided_is_decided_now(shop: Shop) -> None:
    key = subject_key(Kind.ORDER, "kontor", "PO-7")
    kept = Rejected("old.jsonl", "line 3", "it raised", "deciding failed", event_bytes(),
                    shop.now, key)  # fmt: skip
    with shop.store.transaction() as tx:
        tx.write(Changes(rejected=[kept]))
    assert "1 of 1 taken." in shop.ok("rejected", "--retry-all")
    assert shop.document("rejected")["found"] == 0


# --- outbox and feeds -----------------------------------------------------------------------------


def test_the_outbox_is_listed_and_what_is_dead_is_tried_again(shop: Shop) -> None:
    case = shop.late()
    output = shop.ok("outbox")
    assert case in output
    assert "partnership manager (Claire Dubois)" in output
    assert "No service is running" in output
    with shop.store.transaction() as tx:
        entry = tx.list_outbox()[0]
        tx.update_outbox([replace(entry, status=OutboxStatus.DEAD, reason="every route failed")])
    assert "every route failed" in shop.ok("outbox", "--state", "dead")
    assert shop.document("outbox")["counts"]["dead"] == 1
    other = next(e["id"] for e in shop.document("outbox")["outbox"] if e["id"] != entry.seq)
    assert "only what is dead is tried again" in shop.refused("outbox", "--retry", str(other))
    assert "there is no entry 999" in shop.refused("outbox", "--retry", "999")
    assert "1 queued again" in shop.ok("outbox", "--retry", str(entry.seq))
    assert "Nothing is dead" in shop.ok("outbox", "--retry-all")


def test_feeds_counts_the_deadlines_that_a_silent_source_holds(hourly: Shop) -> None:
    shop = hourly
    for n in range(3):
        shop.order(f"PO-{n}", MONDAY - 47 * HOUR)
    shop.order("PO-9", MONDAY + 5 * DAY)
    (before,) = shop.document("feeds")["feeds"]
    assert (before["state"], before["held"], before["cadence"]) == ("heard", 0, "1h")
    shop.now = Instant(MONDAY + 3 * HOUR)
    (silent,) = shop.document("feeds")["feeds"]
    assert (silent["state"], silent["held"]) == ("silent", 3)
    output = shop.ok("feeds")
    assert "/erp" in output
    assert "3 h ago" in output


def test_a_source_that_was_never_heard_of_is_shown(hourly: Shop) -> None:
    (feed,) = hourly.document("feeds")["feeds"]
    assert feed["state"] == "silent: never heard of"
    assert feed["last_event_at"] is None


def test_what_a_source_sends_and_nobody_understands_is_shown(shop: Shop) -> None:
    shop.order("PO-1", MONDAY + DAY)
    assert shop.document("feeds")["surprises"] == []
    assert "looks wrong" not in shop.ok("feeds")
    for n in (1, 2):
        shop.say("delivery.dispatched", MONDAY, partner_id="kontor", order_id="PO-1",
                 delivery_id=f"D-{n}", ETA="2026-11-09")  # fmt: skip
    shop.say("touchpoint.held", MONDAY + 30 * DAY, partner_id="kontor", kind="call")
    shop.say("touchpoint.held", MONDAY, partner_id="new-one", kind="call")
    assert shop.document("feeds")["surprises"] == [
        {"source": "/erp", "what": what, "name": name, "times": times}
        for what, name, times in (
            ("unknown field", "delivery.dispatched.ETA", 2),
            ("unknown partner", "new-one", 1),
            ("stamped in the future", "touchpoint.held", 1),
        )
    ]
    output = shop.ok("feeds")
    assert "field that nobody knows" in output
    assert "delivery.dispatched.ETA" in output
    with shop.store.transaction() as tx:  # and later somebody enters the partner
        known = f"{DIRECTORY}  new-one: {{tier: standard}}\n"
        tx.add_directory("d2", known.encode(), shop.now, shop.now)
    assert "new-one" not in shop.ok("feeds")


# --- check ----------------------------------------------------------------------------------------


def check(shop: Shop, *, policy: str = POLICY, directory: str = DIRECTORY) -> Result:
    (shop.folder / "p.yaml").write_text(policy)
    (shop.folder / "d.yaml").write_text(directory)
    return shop.run("check", "--policy", str(shop.folder / "p.yaml"), "--directory",
                    str(shop.folder / "d.yaml"))  # fmt: skip


def test_check_of_a_good_policy_and_directory(shop: Shop) -> None:
    result = check(shop)
    assert result.exit_code == 0
    assert result.output.startswith("all good: 3 rules, 3 tiers, 2 partners, 3 people")


def test_check_names_every_mistake_with_file_and_line(shop: Shop) -> None:
    bad = POLICY.replace("open_at: management", "open_at: managment").replace(
        'impact: "> 0%"', 'impact: "48h"'
    )
    result = check(shop, policy=bad)
    assert result.exit_code == 1
    assert "p.yaml:3: rules[0].open_at" in result.output
    assert "p.yaml:4: rules[1].when.impact" in result.output
    assert "2 mistakes" in result.output
    found = check(shop, directory=DIRECTORY.replace("account_manager: anna", "account_manager: x"))
    assert found.exit_code == 1
    assert "d.yaml:7: roles.account_manager" in found.output


def test_check_names_whom_nobody_can_be_reached_for(shop: Shop) -> None:
    lonely = yaml.safe_load(DIRECTORY)
    del lonely["roles"]["executive_sponsor"]
    lonely["people"]["claire"]["routes"] = []
    result = check(shop, directory=yaml.safe_dump(lonely))
    assert result.exit_code == 0
    assert "nordlicht, executive: Nobody is executive sponsor for nordlicht." in result.output
    assert "kontor, management: claire is partnership manager. claire has no route" in result.output
    assert "nordlicht is strategic and has no executive sponsor" in result.output
    assert "claire fills a role and has no route" in result.output
    assert "all good" not in result.output


# --- all commands ---------------------------------------------------------------------------------

COMMANDS = ("cases", "case", "explain", "ack", "assign", "escalate", "deescalate", "waiting",
            "snooze", "comment", "dispute", "decide-dispute", "resolve", "close", "reopen", "move",
            "rejected", "outbox", "feeds", "check")  # fmt: skip


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_an_example(name: str) -> None:
    result = CliRunner().invoke(cli, [name, "--help"])
    assert result.exit_code == 0
    assert f"  detente {name}" in result.output or f"detente {name}\n" in result.output
    assert "--json" in result.output
    assert name in CliRunner().invoke(cli, ["--help"]).output


# --- on a terminal --------------------------------------------------------------------------------


def bare(text: str) -> list[str]:
    return [line.rstrip() for line in re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines()]


@pytest.mark.parametrize("columns", [80, 200])
def test_cases_fit_the_terminal(today: Shop, columns: int) -> None:
    case = today.late("a-rather-long-order-number-2026-000017", "nordlicht", by=60 * HOUR)
    today.ok("assign", case, "--to", "anna")
    seen = today.on_terminal("cases", columns=columns)
    assert "\x1b[" in seen
    lines = bare(seen)
    assert max(map(len, lines)) <= columns
    # What a person acts on is never cut into pieces.
    assert any(line.strip().startswith(case) and "Anna Lindner" in line for line in lines)
    assert "nordlicht (strategic)" in " ".join(lines)


def test_a_story_on_a_terminal_strikes_out_what_was_wrong(today: Shop) -> None:
    case = today.late()
    today.say("delivery.completed", today.now, partner_id="kontor", order_id="PO-1",
              delivery_id="D1", delivered_at=iso(today.now - 90 * HOUR), final=True)  # fmt: skip
    seen = today.on_terminal("case", case)
    assert re.search(r"\x1b\[[0-9;]*9m[^\x1b]*opened at management", seen)
    assert max(map(len, bare(seen))) <= 80


def test_the_root_cause_is_asked_for_on_a_terminal(today: Shop) -> None:
    case = today.late()
    seen = today.on_terminal("resolve", case, typed=b"lorry broke down\n")
    assert "What caused it?" in seen
    last = today.document("case", case)["steps"][-1]
    assert last["why"] == ["root cause: lorry broke down"]


def test_nothing_from_outside_reaches_the_terminal_as_an_escape(today: Shop) -> None:
    name = "PO-[bold]1[/bold]"
    case = today.late(name)
    assert name in " ".join(bare(today.on_terminal("explain", case, columns=200)))
